// Command go-peer drives the official Go client by remote control. One JSON object per line on standard input is one
// call ({"id":1,"verb":"produce",...}), each answered by any number of event lines and then exactly one done or failed
// line with the same id. Calls run at the same time unless the program was started with --in-order. The end of the
// input ends the program. The verbs and their arguments are those of the Java peer (../java).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var verbs = map[string]func(*call) error{
	"createTopic": createTopic,
	"deleteTopic": deleteTopic,
	"produce":     produce,
	"consume":     consume,
	"stop":        stop,
	"sleep":       sleep,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go-peer NAMESRV [--in-order]")
		os.Exit(64)
	}
	inOrder := len(os.Args) > 2 && os.Args[2] == "--in-order"
	rlog.SetLogLevel("warn")
	p := newPeers(os.Args[1])
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c := &call{peers: p}
		if err := json.Unmarshal([]byte(line), c); err != nil {
			fmt.Fprintln(os.Stderr, "not a call:", line, err)
			os.Exit(65)
		}
		if inOrder {
			run(c)
		} else {
			go run(c)
		}
	}
	p.close()
}

func run(c *call) {
	verb, ok := verbs[c.Verb]
	if !ok {
		c.emit("failed", event{"error": "no verb " + c.Verb})
		return
	}
	if err := verb(c); err != nil {
		c.emit("failed", event{"error": err.Error()})
		return
	}
	c.emit("done", event{})
}
