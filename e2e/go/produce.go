package main

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// inFlightMax bounds the sends of an async call that wait for their answers.
const inFlightMax = 256

// body of a message: its key, then a pattern up to size bytes, so that a receiver can tell whether it is whole.
func body(key string, size int) []byte {
	b := []byte(key + ":")
	for i := len(b); i < size; i++ {
		b = append(b, byte('a'+i%26))
	}
	return b
}

func intact(key string, b []byte) bool {
	return bytes.Equal(b, body(key, len(b)))
}

func message(c *call, index int) *primitive.Message {
	key := fmt.Sprintf("%s-%d", c.Keys, c.first()+index)
	size := c.Size
	if size == 0 {
		size = 64
	}
	m := primitive.NewMessage(c.Topic, body(key, size))
	m.WithKeys([]string{key})
	if len(c.Tags) > 0 {
		m.WithTag(c.Tags[index%len(c.Tags)])
	}
	if c.Property != "" {
		m.WithProperty("shade", c.Property)
	}
	if c.Mode == "ordered" {
		m.WithShardingKey(fmt.Sprintf("shard-%d", index%max(c.Shards, 1)))
	}
	return m
}

// produce sends count messages to topic; mode is sync, async, oneway, batch (of batch) or ordered (by sharding key).
func produce(c *call) error {
	selector, kind := producer.NewRoundRobinQueueSelector(), "plain"
	if c.Mode == "ordered" {
		selector, kind = producer.NewHashQueueSelector(), "ordered"
	}
	p, err := c.peers.producer(c.group("e2e-go-producers"), selector, kind)
	if err != nil {
		return err
	}
	var stopped atomic.Bool
	if c.Name != "" {
		c.peers.running(c.Name, func() error { stopped.Store(true); return nil })
	}
	step := 1
	if c.Mode == "batch" {
		step = max(c.Batch, 1)
	}
	inFlight := make(chan struct{}, inFlightMax)
	for index := 0; index < c.Count && !stopped.Load(); index += step {
		var messages []*primitive.Message
		for i := index; i < min(c.Count, index+step); i++ {
			messages = append(messages, message(c, i))
		}
		if err := send(c, p, messages, inFlight); err != nil {
			unsent(c, messages, err)
		}
	}
	for i := 0; i < inFlightMax; i++ {
		inFlight <- struct{}{}
	}
	return nil
}

func send(c *call, p rocketmq.Producer, messages []*primitive.Message, inFlight chan struct{}) error {
	ctx := context.Background()
	switch c.Mode {
	case "oneway":
		return p.SendOneWay(ctx, messages...)
	case "async":
		inFlight <- struct{}{}
		var answered atomic.Bool
		err := p.SendAsync(ctx, func(_ context.Context, result *primitive.SendResult, err error) {
			if !answered.CompareAndSwap(false, true) {
				return
			}
			if err != nil {
				unsent(c, messages, err)
			} else {
				sent(c, messages, result)
			}
			<-inFlight
		}, messages...)
		if err != nil && answered.CompareAndSwap(false, true) {
			<-inFlight
			return err
		}
		return nil
	default:
		result, err := p.SendSync(ctx, messages...)
		if err == nil {
			sent(c, messages, result)
		}
		return err
	}
}

var statuses = map[primitive.SendStatus]string{
	primitive.SendOK:                "SEND_OK",
	primitive.SendFlushDiskTimeout:  "FLUSH_DISK_TIMEOUT",
	primitive.SendFlushSlaveTimeout: "FLUSH_SLAVE_TIMEOUT",
	primitive.SendSlaveNotAvailable: "SLAVE_NOT_AVAILABLE",
}

func sent(c *call, messages []*primitive.Message, result *primitive.SendResult) {
	for i, m := range messages {
		c.emit("sent", event{
			"key":         m.GetKeys(),
			"tag":         m.GetTags(),
			"status":      statuses[result.Status],
			"msgId":       m.GetProperty(primitive.PropertyUniqueClientMessageIdKeyIndex),
			"offsetMsgId": result.OffsetMsgID,
			"broker":      result.MessageQueue.BrokerName,
			"queueId":     result.MessageQueue.QueueId,
			// A batch is answered with the offset of its first message.
			"queueOffset": result.QueueOffset + int64(i),
		})
	}
}

func unsent(c *call, messages []*primitive.Message, err error) {
	for _, m := range messages {
		c.emit("unsent", event{"key": m.GetKeys(), "error": err.Error()})
	}
	// A server that is down refuses at once: don't burn all keys while it starts again.
	time.Sleep(20 * time.Millisecond)
}
