package main

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

var showCommand = command{
	name: "show", args: "ID...",
	summary: "show messages: recipients with their replies, and what happened so far",
	define: func(*flag.FlagSet) action {
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) == 0 {
				return wrongUsage("show needs the ID of a message")
			}
			for i, id := range args {
				doc, err := s.get(ctx, messageAt(id), nil)
				if err != nil {
					return notFound(err)
				}
				if s.json {
					err = s.printJSON(doc)
				} else {
					if i > 0 {
						s.print("")
					}
					err = showMessage(s, doc)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
	},
}

// A messageDetail is the document of one message.
type messageDetail struct {
	message
	MessageID, Helo, Protocol, Identity string
	Node                                string
	Release                             time.Time
	RecipientStates                     []recipient
	Trace                               []hop
	Timeline                            []event
	TimelineComplete                    bool
}

// A recipient is one recipient of a message.
type recipient struct {
	Address, Status          string
	Attempts                 int
	Reply, Host, TLS         string
	LastAttempt, NextAttempt time.Time
}

// An event is an entry of the tracking log.
type event struct {
	Time                         time.Time
	Event, ID                    string
	Recipients                   []string
	Reply, Host, Reference, Text string
}

func showMessage(s *session, doc document) error {
	var m messageDetail
	if err := doc.decode(&m); err != nil {
		return err
	}
	s.field("ID", m.ID)
	s.field("Status", m.Status)
	s.field("Sender", angle(m.Sender))
	s.field("Subject", m.Subject)
	s.field("Message-ID", m.MessageID)
	s.field("Size", size(m.Size))
	s.field("Received", stamp(m.Received))
	s.field("Client", strings.TrimSpace(m.Helo+" "+bracketed(m.Client)))
	s.field("Account", m.Identity)
	s.field("Connector", strings.TrimSpace(m.Connector+" "+m.Protocol))
	s.field("Leased by", m.Node)
	for _, hop := range m.Queues {
		s.field("Queue", hop.Key)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
		s.field("Label", key+"="+m.Labels[key])
	}
	s.field("Release", stamp(m.Release))
	s.field("Next attempt", stamp(m.Due))
	s.field("Expires", stamp(m.Expires))
	s.print("")
	t := newTable("RECIPIENT", "STATUS", ">ATTEMPTS", "LAST", "HOST", "TLS", "REPLY")
	for _, r := range m.RecipientStates {
		t.add(angle(r.Address), r.Status, strconv.Itoa(r.Attempts), stamp(r.LastAttempt), r.Host, r.TLS, r.Reply)
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if n := m.RecipientCount - len(m.RecipientStates); n > 0 {
		s.print("and %s", plural(n, "more recipient"))
	}
	if len(m.Trace) > 0 {
		s.print("")
		if err := writeTrace(s, m.Trace); err != nil {
			return err
		}
	}
	if len(m.Timeline) == 0 {
		return nil
	}
	s.print("")
	return writeTimeline(s, m.Timeline)
}

// A hop is a host that has handled a message, as its Received field says.
type hop struct {
	From         string    `json:"from,omitempty"`
	By           string    `json:"by,omitempty"`
	With         string    `json:"with,omitempty"`
	Time         time.Time `json:"time,omitzero"`
	DelaySeconds *float64  `json:"delaySeconds,omitempty"`
}

// writeTrace prints the hosts that have handled a message, and the delays.
func writeTrace(s *session, hops []hop) error {
	t := newTable("TIME", ">DELAY", "FROM", "BY", "WITH")
	for _, h := range hops {
		delay := ""
		if h.DelaySeconds != nil {
			delay = signed(time.Duration(*h.DelaySeconds * float64(time.Second)))
		}
		t.add(stamp(h.Time), delay, h.From, h.By, h.With)
	}
	return t.write(s.out)
}

// field prints a name and a value, unless the value is empty.
func (s *session) field(name, value string) {
	if value != "" {
		s.print("%-14s%s", name+":", value)
	}
}

// bracketed returns an IP address in brackets, or "".
func bracketed(ip string) string {
	if ip == "" {
		return ""
	}
	return "[" + ip + "]"
}

// writeTimeline prints the entries of the tracking log about a message.
func writeTimeline(s *session, events []event) error {
	t := newTable("TIME", "EVENT", "MESSAGE", "RECIPIENTS", "HOST", "REFERENCE", "TEXT")
	for _, e := range events {
		t.add(stamp(e.Time), e.Event, e.ID, first(e.Recipients, len(e.Recipients)), e.Host, e.Reference, strings.TrimSpace(e.Reply+" "+e.Text))
	}
	return t.write(s.out)
}
