package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/graph"
	"github.com/bridgehead-mail/bridgehead/smtpclient/oauth"
)

// graphMail has the settings for sending with Microsoft Graph.
type graphMail struct {
	mailbox, host  string
	rate, requests int
}

func (g *graphMail) define(f *flag.FlagSet) {
	f.StringVar(&g.mailbox, "graph", "", "`mailbox` that sends all mail with Microsoft Graph, as scanner@example.com; needs -oauth-tenant,\n-oauth-client and one of -oauth-secret-file and -oauth-cert. -upstream gets what Graph cannot\nsend, and all mail while Graph cannot be reached. Without it, the largest message has 2.8 MB,\nand reports need -report-sender")
	f.StringVar(&g.host, "graph-host", "", "`host[:port]` of Graph in a national cloud, as graph.microsoft.us; default graph.microsoft.com")
	f.IntVar(&g.rate, "graph-rate", graph.DefaultRate, "maximum `number` of messages with -graph in a minute")
	f.IntVar(&g.requests, "graph-requests", graph.DefaultConcurrency, "maximum `number` of requests with -graph at a time")
}

// check reports settings that have no effect.
func (g *graphMail) check(k *program.Kit) {
	if g.mailbox != "" {
		return
	}
	for setting, set := range map[string]bool{"graph-host": g.host != "", "graph-rate": g.rate != graph.DefaultRate, "graph-requests": g.requests != graph.DefaultConcurrency} {
		if set {
			k.Fault(setting, errors.New("needs -graph"))
		}
	}
}

// objectID is the form of the ID of a user in Entra.
var objectID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// connectors returns chain, the connectors for -upstream, behind one that sends with
// Graph. Without -graph, chain is unchanged.
func (g *graphMail) connectors(k *program.Kit, s *smarthost, chain []routing.Connector) []routing.Connector {
	if g.mailbox == "" {
		return chain
	}
	t := &graph.Transport{
		Mailbox: g.mailbox, Endpoint: "https://" + cmp.Or(g.host, "graph.microsoft.com"), Rate: g.rate, Concurrency: g.requests,
		Proxy: http.ProxyFromEnvironment, Logger: k.Logger,
	}
	c := routing.Connector{Name: "graph", Spaces: []string{"*"}, RefuseSenders: chain[0].RefuseSenders, Transport: t,
		Errors: routing.ErrorPolicy{Explain: oauth.Explain}}
	if source := g.source(k, &s.oauth); source != nil {
		t.Token = source.Token
		k.Fault("graph", t.Validate())
	}
	if len(s.hosts) == 0 {
		c.ReportSender = cmp.Or(s.reportSender, s.sender)
		switch size := program.Size(t.Size()); {
		case k.MaxSize == 0:
			k.MaxSize = size
		case k.MaxSize > size:
			k.Fault("max-size", fmt.Errorf("is more than %d bytes, which is the largest message for Graph; -upstream would send larger ones", size))
		}
		return []routing.Connector{c}
	}
	upstream := &chain[0]
	upstream.Spaces, upstream.RefuseSenders = nil, nil
	c.Fallback = upstream.Name
	hop := queue.NextHop{Connector: upstream.Name, Destination: upstream.Name}
	t.Fallback = routing.TransportFunc(func(ctx context.Context, j *routing.Job) []queue.Result {
		return k.Router.Deliver(ctx, hop, j.Message, j.Recipients)
	})
	return append([]routing.Connector{c}, chain...)
}

// source returns the tokens for Graph, or nil if there are faults.
func (g *graphMail) source(k *program.Kit, o *tokens) *oauth.Source {
	if o.tenant == "" || o.client == "" || (o.secretFile == "") == (o.cert == "") || o.googleKey != "" {
		k.Fault("graph", errors.New("needs -oauth-tenant, -oauth-client and one of -oauth-secret-file and -oauth-cert"))
	}
	if strings.ContainsAny(g.mailbox, " /?#") || !strings.Contains(g.mailbox, "@") && !objectID.MatchString(g.mailbox) {
		k.Fault("graph", errors.New("is neither the address of a mailbox nor the object ID of its user"))
	}
	if strings.ContainsAny(g.host, " /") {
		k.Fault("graph-host", fmt.Errorf("%q is not host or host:port", g.host))
	}
	m := o.microsoft(k)
	host, _, _ := strings.Cut(cmp.Or(g.host, "graph.microsoft.com"), ":")
	m.Scope = "https://" + host + "/.default"
	if k.Failed() {
		return nil
	}
	source, err := m.Source()
	k.Fault("graph", err)
	return source
}
