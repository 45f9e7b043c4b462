package main

import (
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settingOf are the settings behind the fields of the Gateway that whole checks.
var settingOf = strings.NewReplacer("Hostname", "hostname", "Listeners[0]", "receive.internet", "Listeners[1]", "receive.organization",
	".Address", ".listen", ".Server.TLSConfig.Certificates[0]", ".certificate", ".Server.TLSConfig", ".certificate")

// whole checks settings together, for example whether both listeners have one
// address. It records warnings. q is the queue of the rules.
func (c *config) whole(r *rules, q *queue.Queue) error {
	q.Store, q.Deliverer = new(memory.Store), &routing.Router{Table: r.table}
	relay := &gateway.Gateway{
		Hostname:  c.Hostname,
		Resolver:  c.resolver(),
		Queue:     q,
		Listeners: []*gateway.Listener{{Server: r.internet, Address: c.Receive.Internet.Listen}, {Server: r.organization, Address: c.Receive.Organization.Listen}},
	}
	if err := relay.Validate(); err != nil {
		for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
			c.finding(one.(*gateway.Finding))
		}
	}
	for _, f := range relay.Warnings() {
		c.warnings = append(c.warnings, fmt.Sprintf("%s: %s", settingOf.Replace(f.Subject), f.Text))
	}
	for path, listen := range map[string]string{"receive.internet.listen": c.Receive.Internet.Listen, "receive.organization.listen": c.Receive.Organization.Listen} {
		if a, err := listenAddr(listen); err == nil && a.Port() == 0 {
			c.warnings = append(c.warnings, path+": with port 0, the system chooses another port at each start")
		}
	}
	return c.err()
}

// finding records an error of the Gateway.
func (c *config) finding(f *gateway.Finding) {
	c.fault(settingOf.Replace(f.Subject), fmt.Errorf("%s", settingOf.Replace(f.Text)))
}
