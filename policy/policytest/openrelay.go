package policytest

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An OpenRelayTest tests whether a server relays mail for an unknown client. It
// tries the known methods (probes), each in its own session. It sends no message:
// the server is an open relay if it accepts the RCPT command of a probe.
type OpenRelayTest struct {
	// Dial connects to the server as an unknown client. n is the number of the
	// probe. Use another client address for each probe, because a server may
	// block a client after many refused commands.
	Dial func(n int) (net.Conn, error)
	// Domains are the accepted domains of the server. Leave out domains with a
	// catch-all mailbox, because they accept every local part.
	Domains []string
	// Hostname is the host name of the server. Literal is its address literal,
	// for example "[192.0.2.25]". Some probes use them.
	Hostname, Literal string
	// Timeout limits the duration of each probe. Default: 1 minute.
	Timeout time.Duration
}

// victim and victimDomain are the recipient of the probes. The domain does not
// exist (RFC 2606).
const (
	victim       = "victim"
	victimDomain = "open-relay-test.invalid"
)

// A Probe is one method to make a server relay.
type Probe struct {
	Name string
	Helo string // argument of EHLO
	From string // argument of MAIL FROM:, with angle brackets
	To   string // argument of RCPT TO:, with angle brackets
	// Before are lines that are sent before EHLO. Login are lines that are sent
	// after EHLO. The replies to these lines do not matter.
	Before, Login []string
}

// A Finding is a probe that the server did not refuse permanently.
type Finding struct {
	Probe
	Reply string // the reply to RCPT, or to the command that failed before it
	Open  bool   // the server accepted the probe: it is an open relay
}

// String returns the finding as one line.
func (f Finding) String() string {
	what := "undecided"
	if f.Open {
		what = "OPEN RELAY"
	}
	return fmt.Sprintf("%s: %s: EHLO %s, MAIL FROM:%s, RCPT TO:%s: %s", what, f.Name, f.Helo, f.From, f.To, f.Reply)
}

// Probes returns all probes that Run uses.
func (o *OpenRelayTest) Probes() []Probe {
	plain := Probe{Name: "plain", Helo: "stranger.invalid", From: "<sender@stranger.invalid>", To: "<" + victim + "@" + victimDomain + ">"}
	probes := []Probe{plain}
	with := func(name string, change func(*Probe)) {
		t := plain
		t.Name = name
		change(&t)
		probes = append(probes, t)
	}
	hosts := append([]string{o.Hostname, o.Literal, "localhost", "[127.0.0.1]"}, o.Domains...)
	for _, h := range hosts {
		if h == "" {
			continue
		}
		with("HELO as "+h, func(t *Probe) { t.Helo = h })
		with("sender of "+h, func(t *Probe) { t.From = "<sender@" + h + ">" })
		with("HELO and sender of "+h, func(t *Probe) { t.Helo, t.From = h, "<postmaster@"+h+">" })
		for name, to := range routes(h) {
			with(name+" through "+h, func(t *Probe) { t.To = to })
			with(name+" through "+h+", null sender", func(t *Probe) { t.From, t.To = "<>", to })
		}
	}
	for name, to := range oddities() {
		with(name, func(t *Probe) { t.To = to })
	}
	for _, d := range o.Domains {
		with("ends like "+d, func(t *Probe) { t.To = "<" + victim + "@not" + d + ">" })
		with("full stop of another script after "+d, func(t *Probe) { t.From, t.To = t.From+" SMTPUTF8", "<"+victim+"@"+d+"。"+victimDomain+">" })
		// IDNA maps U+FF1E, U+3000, U+FF1D and U+FF1B to ">", " ", "=" and ";".
		with("command in a domain below "+d, func(t *Probe) {
			t.From, t.To = t.From+" SMTPUTF8", "<"+victim+"@"+victimDomain+"\uff1e\u3000ORCPT\uff1drfc822\uff1bx."+d+">"
		})
		with("begins like "+d, func(t *Probe) { t.To = "<" + victim + "@" + d + "." + victimDomain + ">" })
	}
	with("null sender", func(t *Probe) { t.From = "<>" })
	with("sender without a domain", func(t *Probe) { t.From = "<sender>" })
	with("XCLIENT", func(t *Probe) {
		t.Login = []string{"XCLIENT ADDR=127.0.0.1 NAME=localhost LOGIN=postmaster", "EHLO localhost"}
	})
	with("XCLIENT of a user", func(t *Probe) { t.Login = []string{"XCLIENT LOGIN=admin", "EHLO localhost"} })
	with("XFORWARD", func(t *Probe) { t.Login = []string{"XFORWARD ADDR=127.0.0.1 NAME=localhost"} })
	with("PROXY", func(t *Probe) { t.Before = []string{"PROXY TCP4 127.0.0.1 127.0.0.1 1025 25"} })
	for name, plainText := range map[string]string{"empty name": "\x00\x00", "empty password": "\x00postmaster\x00", "guessed password": "\x00admin\x00admin", "other authorization identity": "postmaster\x00guest\x00guest"} {
		with("AUTH PLAIN, "+name, func(t *Probe) {
			t.Login = []string{"AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte(plainText))}
		})
	}
	with("AUTH EXTERNAL", func(t *Probe) { t.Login = []string{"AUTH EXTERNAL cG9zdG1hc3Rlcg=="} })
	with("AUTH ANONYMOUS", func(t *Probe) { t.Login = []string{"AUTH ANONYMOUS Z3Vlc3Q="} })
	with("MAIL AUTH parameter", func(t *Probe) { t.From += " AUTH=postmaster" })
	return probes
}

// routes returns recipient addresses that ask the host h, or a host behind it, to
// relay.
func routes(h string) map[string]string {
	v, d := victim, victimDomain
	return map[string]string{
		"percent hack":               "<" + v + "%" + d + "@" + h + ">",
		"percent hack, twice":        "<" + v + "%" + d + "%" + h + "@" + h + ">",
		"postmaster percent hack":    "<postmaster%" + d + "@" + h + ">",
		"sub-address percent hack":   "<postmaster+" + v + "%" + d + "@" + h + ">",
		"sub-address bang path":      "<postmaster+" + d + "!" + v + "@" + h + ">",
		"quoted percent hack":        `<"` + v + "%" + d + `"@` + h + ">",
		"quoted address":             `<"` + v + "@" + d + `"@` + h + ">",
		"quoted path":                `<"@` + d + ":" + v + `"@` + h + ">",
		"quoted node":                `<"` + d + "::" + v + `"@` + h + ">",
		"quotes in quotes":           `<"\"` + v + `\"@` + d + `"@` + h + ">",
		"quoted, backslash":          `<"` + v + `\@` + d + `"@` + h + ">",
		"bang path":                  "<" + d + "!" + v + "@" + h + ">",
		"bang path with own host":    "<" + h + "!" + d + "!" + v + ">",
		"bang path, other domain":    "<" + h + "!" + v + "@" + d + ">",
		"source route":               "<@" + h + ":" + v + "@" + d + ">",
		"source route of two":        "<@" + h + ",@" + d + ":" + v + "@" + d + ">",
		"source route, percent hack": "<@" + h + ":" + v + "%" + d + "@" + d + ">",
		"two at signs":               "<" + v + "@" + d + "@" + h + ">",
		"two at signs, swapped":      "<" + v + "@" + h + "@" + d + ">",
		"comment":                    "<" + v + "@" + d + "(@" + h + ")>",
		"space":                      "<" + v + "@" + d + " @" + h + ">",
		"two addresses":              "<" + v + "@" + d + ">,<postmaster@" + h + ">",
		"NUL":                        "<" + v + "@" + d + "\x00@" + h + ">",
		"end of line":                "<postmaster@" + h + ">\nRCPT TO:<" + v + "@" + d + ">",
	}
}

// oddities returns unusual recipient addresses that a parser may take for local
// ones.
func oddities() map[string]string {
	v, d := victim, victimDomain
	return map[string]string{
		"quoted, no domain":       `<"` + v + "@" + d + `">`,
		"percent, no domain":      "<" + v + "%" + d + ">",
		"bang, no domain":         "<" + d + "!" + v + ">",
		"no brackets":             v + "@" + d,
		"in upper case":           "<" + strings.ToUpper(v+"@"+d) + ">",
		"dot at the end":          "<" + v + "@" + d + ".>",
		"address literal":         "<" + v + "@[203.0.113.7]>",
		"IPv6 literal":            "<" + v + "@[IPv6:2001:db8::7]>",
		"bare address":            "<" + v + "@203.0.113.7>",
		"postmaster elsewhere":    "<postmaster@" + d + ">",
		"empty domain":            "<" + v + "@>",
		"subdomain":               "<" + v + "@a.b." + d + ">",
		"brackets in brackets":    "<<" + v + "@" + d + ">>",
		"UTF-8 without SMTPUTF8":  "<" + v + "@open-relay-tést.invalid>",
		"display name":            "Victim <" + v + "@" + d + ">",
		"address with parameters": "<" + v + "@" + d + "> NOTIFY=NEVER",
	}
}

// Run runs all probes. It returns the probes that the server did not refuse
// permanently. It stops with an error if it cannot connect or send.
func (o *OpenRelayTest) Run() ([]Finding, error) {
	var found []Finding
	for n, probe := range o.Probes() {
		f, err := o.try(n, probe)
		if err != nil {
			return found, fmt.Errorf("policytest: %s: %w", probe.Name, err)
		}
		if f != nil {
			found = append(found, *f)
		}
	}
	return found, nil
}

// try runs one session with one probe.
func (o *OpenRelayTest) try(n int, probe Probe) (*Finding, error) {
	c, err := o.Dial(n)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	c.SetDeadline(time.Now().Add(timeout))
	k := &prober{c: c, r: bufio.NewReader(c)}
	for _, line := range probe.Before {
		if _, err := io.WriteString(c, line+"\r\n"); err != nil {
			return nil, err
		}
	}
	if reply := k.reply(); reply[0] != '2' {
		return undecided(probe, reply), nil
	}
	// The lines before the banner may have a reply.
	if reply := k.say("EHLO " + probe.Helo); len(probe.Before) > 0 && reply[0] == '5' {
		k.reply()
	}
	for _, line := range probe.Login {
		k.say(line)
	}
	if reply := k.say("MAIL FROM:" + probe.From); reply[0] != '2' {
		return undecided(probe, reply), nil
	}
	reply := k.say("RCPT TO:" + probe.To)
	if reply[0] == '2' && strings.Contains(probe.To, "\n") { // the next reply is for the victim
		reply = k.reply()
	}
	if reply[0] == '2' {
		return &Finding{Probe: probe, Reply: reply, Open: true}, nil
	}
	return undecided(probe, reply), nil
}

// undecided returns a finding, or nil if the server refused the probe permanently.
func undecided(probe Probe, reply string) *Finding {
	if reply[0] == '5' || reply == closed {
		return nil
	}
	return &Finding{Probe: probe, Reply: reply}
}

// closed is the reply of a server that has closed the connection. It counts as a
// permanent refusal.
const closed = "(closed)"

// prober is the client of a session.
type prober struct {
	c net.Conn
	r *bufio.Reader
}

func (k *prober) say(line string) string {
	if _, err := io.WriteString(k.c, line+"\r\n"); err != nil {
		return closed
	}
	return k.reply()
}

func (k *prober) reply() string {
	lines, err := smtptest.ReadReply(k.r)
	if err != nil {
		return closed
	}
	return lines[len(lines)-1]
}

// OpenRelay tests that srv is not an open relay. It runs all probes of an
// [OpenRelayTest] from unknown IPv4 and IPv6 addresses. It fails the test for
// each probe that the server does not refuse permanently. domains are the
// accepted domains; see OpenRelayTest.Domains.
func OpenRelay(t testing.TB, srv *Server, domains ...string) {
	t.Helper()
	for _, from := range []string{"203.0.113.%d", "2001:db8:ff%02x::1", "::ffff:198.51.100.%d"} {
		o := &OpenRelayTest{Domains: domains, Hostname: srv.Hostname, Literal: "[" + serverAddr.IP.String() + "]",
			Dial: func(n int) (net.Conn, error) { return srv.Dial(fmt.Sprintf(from, 1+n%250)) }}
		found, err := o.Run()
		if err != nil {
			t.Error(err)
		}
		for _, f := range found {
			t.Error(f)
		}
	}
}
