package gateway_test

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Gateway describes its receive connectors: those of the listeners with the
// address of the socket, and the policy of each.
func TestReceiveConnectors(t *testing.T) {
	r := newRelay(t)
	r.MemoryLimit = 1 << 30
	fetched := r.server(t, "fetch.example.com")
	fetched.Name = "fetched"
	r.Servers = []*smtpserver.Server{fetched}
	if n := r.MemoryInForce(); n != 0 {
		t.Errorf("a memory limit of %d before Run", n)
	}
	stop := r.run(t)
	select {
	case <-r.Ready():
	case err := <-r.ended:
		t.Fatal(err)
	}
	all := r.ReceiveConnectors()
	if len(all) != 2 || all[0].Name != "smtp" || all[0].Address != r.socket.Addr().String() || all[0].Gate == nil || all[0].Gate.Domains[0].Name != "example.com" ||
		all[0].Server != r.Listeners[0].Server || all[1].Name != "fetched" || all[1].Address != "" || all[1].Gate == nil {
		t.Errorf("%+v", all)
	}
	if n := r.MemoryInForce(); n != 1<<30 {
		t.Errorf("a memory limit of %d", n)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Routing is the routing.Router of the queue, if there is one.
func TestRouting(t *testing.T) {
	router := &routing.Router{}
	var none *routing.Router
	for _, c := range []struct {
		d    queue.Deliverer
		want gateway.Routing
	}{{router, router}, {none, nil}, {nil, nil}, {newRelay(t), nil}} {
		g := &gateway.Gateway{Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: c.d}}
		if got := g.Routing(); got != c.want {
			t.Errorf("%T: %v", c.d, got)
		}
	}
	if got := new(gateway.Gateway).Routing(); got != nil {
		t.Errorf("no queue: %v", got)
	}
}
