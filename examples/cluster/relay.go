package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/postgres"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// Build implements program.Gateway.
func (c *cluster) Build(k *program.Kit) program.Rules {
	c.check(k)
	// Mail from our own domains comes only from our networks.
	gate := &policy.Gate{Networks: c.allow, Spoofing: &policy.Spoofing{}, Rates: c.rates(k)}
	connectors := []routing.Connector{{Name: "internet", Spaces: []string{"*"}}}
	if c.upstream != "" {
		connectors[0].SmartHosts = routing.SmartHosts(c.upstream)
		k.Host("upstream", connectors[0].SmartHosts[0])
	}
	k.Require("domain", len(c.domains) > 0)
	for i, text := range c.domains {
		name, host, _ := strings.Cut(text, "=")
		if name == "" || host == "" {
			k.Fault(fmt.Sprintf("domain[%d]", i), fmt.Errorf("%q is not domain=host", text))
			continue
		}
		k.Host(fmt.Sprintf("domain[%d]", i), routing.SmartHost{Host: host})
		// Exclusive: the mail never takes another connector, also while the server is down.
		connectors = append(connectors, routing.Connector{
			Name: name, Spaces: []string{name}, Exclusive: true, SmartHosts: routing.SmartHosts(host),
		})
		gate.Domains = append(gate.Domains, policy.Domain{Name: name})
	}
	srv := k.Server("mx")
	k.Install("domain", gate, srv)
	table := k.Table(gate.Domains, k.Listen("listen", c.listen), connectors...)
	return program.Rules{Receive: []program.Receive{{Server: srv, Address: c.listen}}, Table: table, Domains: gate.Domains}
}

// rates returns the limit of -hourly, for which the nodes count together.
func (c *cluster) rates(k *program.Kit) *policy.Rates {
	if c.hourly < 0 {
		k.Fault("hourly", errors.New("must not be negative"))
	}
	if c.hourly <= 0 {
		return nil
	}
	rates := &policy.Rates{Rates: []policy.Rate{{By: policy.ByAddress, Messages: c.hourly}}}
	rates.Shared, _ = k.Queue.Store.(queue.CountSharer) // there is no Store if the settings are only checked
	return rates
}

// OpenStore implements program.Storer. It waits until the database can be reached.
func (c *cluster) OpenStore(s *program.Settings, log *slog.Logger) (program.Store, error) {
	o := c.options()
	// At the next start, the node knows which messages were in delivery when it died.
	o.Journal = filepath.Join(s.State, "deliveries")
	o.Logger = log
	return postgres.Open(context.Background(), c.database, o)
}

func (c *cluster) options() *postgres.Options {
	return &postgres.Options{Node: c.node, PasswordFile: c.passwordFile, Pooler: c.pooler, Beat: c.beat, DeadAfter: c.deadAfter}
}
