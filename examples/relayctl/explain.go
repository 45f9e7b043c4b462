package main

import (
	"context"
	"errors"
	"flag"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// question adds the flags that describe a hypothetical message.
func question(fs *flag.FlagSet) parameters {
	p := newParameters(fs,
		"from: the reverse-path is `address`; default: the null reverse-path",
		"size: the size is this `number` of bytes",
		"priority: the priority is this `number`, -9 to 9",
		"connector: the message comes from this receive `connector`",
		"client: the client has this IP `address`",
		"identity: the client has logged in as `name`")
	fs.BoolFunc("system", "the message is one of the queue itself, for example a report", func(string) error {
		p.Set("system", "yes")
		return nil
	})
	return p
}

// recipientOf returns the one argument of a command.
func recipientOf(name string, args []string) (string, error) {
	if len(args) != 1 || args[0] == "" {
		return "", wrongUsage("%s needs the address of one recipient", name)
	}
	return args[0], nil
}

var explainCommand = command{
	name: "explain", args: "RECIPIENT",
	summary: "explain where a message to an address would go, and why; nothing is sent",
	define: func(fs *flag.FlagSet) action {
		p := question(fs)
		hosts := fs.Bool("hosts", false, "also look up the hosts in the DNS")
		return func(ctx context.Context, s *session, args []string) error {
			to, err := recipientOf("explain", args)
			if err != nil {
				return err
			}
			p.Set("to", to)
			if *hosts {
				p.Set("hosts", "yes")
			}
			doc, err := s.get(ctx, "/explain", p.Values)
			if err != nil {
				return err
			}
			_, err = showExplanation(s, doc)
			return err
		}
	},
}

var probeCommand = command{
	name: "probe", args: "RECIPIENT",
	summary: "open a session with each host of a route, without sending mail",
	details: `
The exit status is 1 if no host of the route can take mail.`,
	define: func(fs *flag.FlagSet) action {
		p := question(fs)
		reason := fs.String("reason", "", "why, a `text` for the audit log")
		return func(ctx context.Context, s *session, args []string) error {
			to, err := recipientOf("probe", args)
			if err != nil {
				return err
			}
			form := url.Values{"to": {to}, "reason": {*reason}}
			for name, values := range p.Values {
				form[name] = values
			}
			doc, err := s.post(ctx, "/probe", form)
			if err != nil {
				return err
			}
			e, err := showExplanation(s, doc)
			if err != nil {
				return err
			}
			for _, one := range e.Probes {
				if one.Problem == "" {
					return nil
				}
			}
			return errors.New("no host can take mail")
		}
	},
}

// An explanation is the document of /explain and /probe.
type explanation struct {
	Summary                         []string
	Outcome                         string
	Connector, Destination, Reply   string
	Until                           time.Time
	TLS, HostsProblem, ProbeProblem string
	Candidates                      []struct {
		Connector, Space, Reason string
		Cost                     int
		Chosen                   bool
	}
	Hosts []struct {
		Name          string
		Addrs         []string
		Preference    int
		DANE, Problem string
	}
	Probes []struct {
		Host, Addr, Greeting, TLS, Policy, Problem string
		Extensions                                 []string
	}
}

// showExplanation prints an explanation and returns it.
func showExplanation(s *session, doc document) (*explanation, error) {
	var v struct{ Explanation *explanation }
	if err := doc.decode(&v); err != nil {
		return nil, err
	}
	if v.Explanation == nil {
		return nil, errors.New("the console explains nothing")
	}
	if s.json {
		return v.Explanation, s.printJSON(doc)
	}
	return v.Explanation, v.Explanation.write(s)
}

func (e *explanation) write(s *session) error {
	for _, line := range e.Summary {
		s.print("%s", line)
	}
	s.print("")
	s.field("Outcome", e.Outcome)
	s.field("Next hop", strings.Trim(e.Connector+":"+e.Destination, ":"))
	s.field("Until", stamp(e.Until))
	s.field("Reply", e.Reply)
	s.field("TLS", e.TLS)
	t := newTable("CONNECTOR", "CHOSEN", "SPACE", ">COST", "REASON")
	for _, c := range e.Candidates {
		t.add(c.Connector, map[bool]string{true: "yes"}[c.Chosen], c.Space, strconv.Itoa(c.Cost), c.Reason)
	}
	s.print("")
	if err := t.write(s.out); err != nil {
		return err
	}
	if err := e.writeHosts(s); err != nil {
		return err
	}
	return e.writeProbes(s)
}

func (e *explanation) writeHosts(s *session) error {
	if e.HostsProblem != "" {
		s.print("\nNo hosts: %s", e.HostsProblem)
	}
	if len(e.Hosts) == 0 {
		return nil
	}
	t := newTable("HOST", ">PREFERENCE", "ADDRESSES", "DANE", "PROBLEM")
	for _, h := range e.Hosts {
		t.add(h.Name, strconv.Itoa(h.Preference), strings.Join(h.Addrs, " "), h.DANE, h.Problem)
	}
	s.print("")
	return t.write(s.out)
}

func (e *explanation) writeProbes(s *session) error {
	if e.ProbeProblem != "" {
		s.print("\nNo probe: %s", e.ProbeProblem)
	}
	if len(e.Probes) == 0 {
		return nil
	}
	t := newTable("PROBE", "ADDRESS", "RESULT", "TLS", "POLICY", "GREETING")
	for _, p := range e.Probes {
		result := p.Problem
		if result == "" {
			result = "ok"
		}
		t.add(p.Host, p.Addr, result, p.TLS, p.Policy, p.Greeting)
	}
	s.print("")
	return t.write(s.out)
}
