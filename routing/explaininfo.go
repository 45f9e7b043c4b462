package routing

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A RouteQuestion is a [Question] in a form for JSON. Connector, Client and
// Identity are the fields of queue.Origin.
type RouteQuestion = site.Question

// A RouteExplanation is an [Explanation] in a form for JSON and for people. Its
// Summary explains the decision in sentences.
type RouteExplanation = site.Explanation

// ExplainRoute does the same as [Router.Explain], in a form for JSON and for
// people. The reverse-path "<>" is the null reverse-path.
func (r *Router) ExplainRoute(ctx context.Context, q RouteQuestion) *RouteExplanation {
	e := r.Explain(ctx, questionOf(&q))
	x := &RouteExplanation{Question: q, Outcome: site.Sent, Until: e.Until, TLS: e.TLS,
		HostsProblem: problemText(e.HostsErr), ProbeProblem: problemText(e.ProbeErr)}
	if e.Err == nil {
		x.Connector, x.Destination = e.Hop.Connector, e.Hop.Destination
	}
	switch {
	case e.Err != nil:
		x.Outcome, x.Reply = outcomeOf(e.Err), replyText(e.Err)
	case e.Held:
		x.Outcome = site.Waits
	case e.HostsErr != nil:
		x.Outcome = outcomeOf(e.HostsErr)
	}
	x.Candidates = make([]site.RouteCandidate, len(e.Candidates))
	for i, k := range e.Candidates {
		x.Candidates[i] = site.RouteCandidate{Connector: k.Connector, Space: k.Space, Cost: k.Cost, Chosen: k.Chosen, Reason: k.Reason}
	}
	for i := range e.Hosts {
		x.Hosts = append(x.Hosts, hostInfo(&e.Hosts[i]))
	}
	for i := range e.Probes {
		x.Probes = append(x.Probes, probeInfo(&e.Probes[i]))
	}
	x.Summary = e.summary(x)
	return x
}

func questionOf(q *RouteQuestion) Question {
	from := q.From
	if from == "<>" {
		from = ""
	}
	return Question{From: from, To: q.To, Size: q.Size, Priority: q.Priority, Labels: q.Labels, System: q.System,
		Origin: queue.Origin{Connector: q.Connector, ClientAddr: q.Client, Identity: q.Identity},
		Hosts:  q.Hosts, Probe: q.Probe}
}

// outcomeOf returns what an error does to a recipient.
func outcomeOf(err error) site.Outcome {
	var reply *smtp.SMTPError
	if errors.As(err, &reply) && reply.Code/100 == 5 {
		return site.Failed
	}
	return site.Waits
}

// summary explains the decision in sentences.
func (e *Explanation) summary(x *RouteExplanation) []string {
	var s []string
	add := func(format string, args ...any) { s = append(s, fmt.Sprintf(format, args...)) }
	switch {
	case e.Err != nil && x.Outcome == site.Failed:
		add("The message has no route. It would fail with this reply, which is reported to the sender: %s.", x.Reply)
	case e.Err != nil:
		add("The message has no route now. It would wait in the queue: %s.", x.Reply)
	default:
		s = append(s, e.choice()...)
	}
	if e.Err == nil {
		switch {
		case e.Held && e.Until.IsZero():
			add("The mail of this connector waits until it is requested, or its schedule does not open again.")
		case e.Held:
			add("The connector is outside its schedule: the message would wait until %s.", e.Until.Format(time.RFC1123))
		case e.HostsErr != nil && x.Outcome == site.Failed:
			add("No host can be used, so the message would fail: %s.", x.HostsProblem)
		case e.HostsErr != nil:
			add("No host can be used now, so the message would wait: %s.", x.HostsProblem)
		default:
			add("An attempt would be made at once, or as soon as the limits of the queue allow it.")
		}
	}
	if x.TLS != "" && len(x.Hosts) > 0 {
		add("The TLS level for these hosts is %s; a published policy (DANE, MTA-STS) can raise it.", x.TLS)
	}
	if n := countProblems(x.Probes); len(x.Probes) > 0 {
		add("%d of %d addresses can be used.", len(x.Probes)-n, len(x.Probes))
	}
	return s
}

// choice says why the connector was chosen.
func (e *Explanation) choice() (s []string) {
	i := slices.IndexFunc(e.Candidates, func(k Candidate) bool { return k.Chosen })
	if i < 0 {
		return []string{fmt.Sprintf("The next hop is %s, which an agent chose.", e.Hop)}
	}
	k := &e.Candidates[i]
	switch {
	case k.Space == "":
		s = append(s, fmt.Sprintf("The connector %s takes the message: %s.", k.Connector, k.Reason))
	case k.Reason == "chosen":
		s = append(s, fmt.Sprintf("The connector %s takes the message: its address space %s is the most specific one that matches, with the lowest cost (%d).",
			k.Connector, k.Space, k.Cost))
	default:
		s = append(s, fmt.Sprintf("The connector %s takes the message, with the address space %s: %s.", k.Connector, k.Space, k.Reason))
	}
	for _, before := range e.Candidates[:i] {
		s = append(s, fmt.Sprintf("The connector %s comes first, but cannot take it: %s.", before.Connector, before.Reason))
	}
	return append(s, fmt.Sprintf("It goes to the queue of the next hop %s.", e.Hop.Destination))
}

func countProblems(probes []site.HostProbe) (n int) {
	for i := range probes {
		if probes[i].Problem != "" {
			n++
		}
	}
	return n
}

func hostInfo(h *ExplainedHost) site.RouteHost {
	i := site.RouteHost{Name: h.Name, Preference: h.Preference, Problem: problemText(h.Err)}
	for _, a := range h.Addrs {
		i.Addrs = append(i.Addrs, a.String())
	}
	if h.Socket != "" {
		i.Addrs = append(i.Addrs, h.Socket)
	}
	switch {
	case h.DANE == nil:
	case h.DANE.Err != nil:
		i.DANE = h.DANE.Err.Error()
	default:
		i.DANE = fmt.Sprintf("%d TLSA records", len(h.DANE.Records))
	}
	return i
}

func probeInfo(p *smtpclient.Probe) site.HostProbe {
	i := site.HostProbe{Host: p.Host, Addr: p.Addr, Greeting: p.Greeting, Policy: p.Policy, Problem: problemText(p.Err)}
	for keyword, parameters := range p.Extensions {
		i.Extensions = append(i.Extensions, strings.TrimSpace(keyword+" "+parameters))
	}
	slices.Sort(i.Extensions)
	if p.TLS != nil {
		i.TLS = tls.VersionName(p.TLS.Version) + " " + tls.CipherSuiteName(p.TLS.CipherSuite)
	}
	return i
}

// problemText returns the text of an error, or "".
func problemText(err error) string {
	if err == nil {
		return ""
	}
	return cmp.Or(replyText(err), "unknown error")
}
