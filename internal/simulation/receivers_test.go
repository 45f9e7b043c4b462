package simulation

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"time"
)

// receivers request held mail now and then.
func (w *world) receivers() {
	rnd := w.rand("receivers")
	for n := 0; ; n++ {
		time.Sleep(time.Duration(rnd.Int64N(int64(8 * time.Minute))))
		if w.healed.Load() {
			return
		}
		command := []string{"ETRN " + etrnDomain, "ETRN " + atrnDomain, "ATRN " + atrnDomain, "ATRN"}[rnd.IntN(4)]
		err := w.request(n, command, rnd)
		w.trace.add("receiver %d: %s ends: %v", n, command, err)
	}
}

// request logs in and sends ETRN or ATRN. After ATRN, the client is the host.
func (w *world) request(n int, command string, rnd *rand.Rand) error {
	c := &client{w: w, rnd: rnd, cut: -1}
	m := w.net.machine(fmt.Sprintf("203.0.113.%d", 251+n%4))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nc, err := m.dial(ctx, relayAddr+":25")
	if err != nil {
		return err
	}
	c.c = nc.(*conn)
	defer c.c.Close()
	c.in = bufio.NewReader(c.c)
	if _, err := c.reply(); err != nil {
		return err
	}
	for _, line := range []string{"EHLO receiver.example", "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00user\x00secret")), command} {
		if _, err := c.ask("%s", line); err != nil {
			return err
		}
	}
	if command[0] == 'E' {
		_, err := c.ask("QUIT")
		return err
	}
	h := &host{w: w, name: fmt.Sprintf("receiver%d", n), machine: m}
	h.serveOn(c.c, c.in)
	return nil
}
