package main

import (
	"context"
	"sync"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// consume runs a push consumer under name until stop. This client does not tell which queues it holds: cases that need
// every message start it from the first offset.
func consume(c *call) error {
	from := consumer.ConsumeFromFirstOffset
	if c.From == "last" {
		from = consumer.ConsumeFromLastOffset
	}
	model := consumer.Clustering
	if c.Broadcasting {
		model = consumer.BroadCasting
	}
	created, err := rocketmq.NewPushConsumer(
		consumer.WithGroupName(c.Group),
		consumer.WithInstance(c.Name),
		consumer.WithNsResolver(c.peers.resolver()),
		consumer.WithConsumeFromWhere(from),
		consumer.WithConsumerModel(model),
		consumer.WithConsumerOrder(c.Ordered),
	)
	if err != nil {
		return err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}
	if c.Expression != "" {
		selector.Expression = c.Expression
	}
	var lock sync.Mutex
	refused := map[string]int{}
	err = created.Subscribe(c.Topic, selector,
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			result := consumer.ConsumeSuccess
			for _, m := range messages {
				lock.Lock()
				refuse := refused[m.GetKeys()] < c.Failures
				refused[m.GetKeys()]++
				lock.Unlock()
				got(c, m, refuse)
				if refuse && c.Ordered {
					result = consumer.SuspendCurrentQueueAMoment
				} else if refuse {
					result = consumer.ConsumeRetryLater
				}
			}
			return result, nil
		})
	if err != nil {
		return err
	}
	c.peers.running(c.Name, created.Shutdown)
	return created.Start()
}

func got(c *call, m *primitive.MessageExt, refuse bool) {
	c.emit("got", event{
		"key":            m.GetKeys(),
		"tag":            m.GetTags(),
		"topic":          m.Topic,
		"msgId":          m.MsgId,
		"broker":         m.Queue.BrokerName,
		"queueId":        m.Queue.QueueId,
		"queueOffset":    m.QueueOffset,
		"bornMillis":     m.BornTimestamp,
		"storeMillis":    m.StoreTimestamp,
		"reconsumeTimes": m.ReconsumeTimes,
		"size":           len(m.Body),
		"shade":          m.GetProperty("shade"),
		"intact":         intact(m.GetKeys(), m.Body),
		"refused":        refuse,
	})
}
