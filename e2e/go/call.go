package main

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"
)

// call is one line of input. Fields that a verb doesn't use are zero.
type call struct {
	ID           int      `json:"id"`
	Verb         string   `json:"verb"`
	Name         string   `json:"name"`
	Group        string   `json:"group"`
	Topic        string   `json:"topic"`
	BrokerAddr   string   `json:"brokerAddr"`
	Queues       int      `json:"queues"`
	Mode         string   `json:"mode"`
	Keys         string   `json:"keys"`
	From         any      `json:"from"`
	Count        int      `json:"count"`
	Batch        int      `json:"batch"`
	Shards       int      `json:"shards"`
	Size         int      `json:"size"`
	Tags         []string `json:"tags"`
	Property     string   `json:"property"`
	Expression   string   `json:"expression"`
	Broadcasting bool     `json:"broadcasting"`
	Ordered      bool     `json:"ordered"`
	Failures     int      `json:"failures"`
	Millis       int      `json:"millis"`

	peers *peers
}

type event map[string]any

var out sync.Mutex

func (c *call) emit(name string, e event) {
	e["id"] = c.ID
	e["event"] = name
	line, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		os.Exit(1)
	}
}

// first is the number of the first message of a produce call.
func (c *call) first() int {
	if n, ok := c.From.(float64); ok {
		return int(n)
	}
	return 0
}

func (c *call) group(otherwise string) string {
	if c.Group == "" {
		return otherwise
	}
	return c.Group
}

func sleep(c *call) error {
	time.Sleep(time.Duration(c.Millis) * time.Millisecond)
	return nil
}

func stop(c *call) error {
	return c.peers.stop(c.Name)
}

var errUnknownName = errors.New("nothing runs under that name")
