package main

import (
	"context"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// peers holds the clients that are running. Producers are started on first use and kept.
type peers struct {
	namesrv   string
	lock      sync.Mutex
	producers map[string]rocketmq.Producer
	stops     map[string]func() error
}

func newPeers(namesrv string) *peers {
	return &peers{namesrv: namesrv, producers: map[string]rocketmq.Producer{}, stops: map[string]func() error{}}
}

func (p *peers) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{p.namesrv})
}

// producer starts a producer for a group, or one that sends by sharding key, unless there is one.
func (p *peers) producer(group string, selector producer.QueueSelector, kind string) (rocketmq.Producer, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	key := group + "/" + kind
	if started, ok := p.producers[key]; ok {
		return started, nil
	}
	created, err := rocketmq.NewProducer(
		producer.WithGroupName(group),
		producer.WithInstanceName("producer-"+group+"-"+kind),
		producer.WithNsResolver(p.resolver()),
		producer.WithQueueSelector(selector),
		producer.WithRetry(2),
		producer.WithSendMsgTimeout(3*time.Second),
	)
	if err != nil {
		return nil, err
	}
	if err := created.Start(); err != nil {
		return nil, err
	}
	p.producers[key] = created
	return created, nil
}

func (p *peers) running(name string, stop func() error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.stops[name] = stop
}

func (p *peers) stop(name string) error {
	p.lock.Lock()
	stop, ok := p.stops[name]
	delete(p.stops, name)
	p.lock.Unlock()
	if !ok {
		return errUnknownName
	}
	return stop()
}

func (p *peers) close() {
	for _, stop := range p.stops {
		_ = stop()
	}
	for _, running := range p.producers {
		_ = running.Shutdown()
	}
}

func createTopic(c *call) error {
	a, err := admin.NewAdmin(admin.WithResolver(c.peers.resolver()))
	if err != nil {
		return err
	}
	return a.CreateTopic(context.Background(),
		admin.WithTopicCreate(c.Topic),
		admin.WithBrokerAddrCreate(c.BrokerAddr),
		admin.WithReadQueueNums(max(c.Queues, 1)),
		admin.WithWriteQueueNums(max(c.Queues, 1)),
	)
}

func deleteTopic(c *call) error {
	a, err := admin.NewAdmin(admin.WithResolver(c.peers.resolver()))
	if err != nil {
		return err
	}
	return a.DeleteTopic(context.Background(),
		admin.WithTopicDelete(c.Topic),
		admin.WithBrokerAddrDelete(c.BrokerAddr),
	)
}
