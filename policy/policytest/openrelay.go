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

// An OpenRelayTest tries to relay through a server as a stranger, with all the
// tricks that open relays are known to fall for. It sends no message: a trick
// has worked when the server says yes to its RCPT.
type OpenRelayTest struct {
	// Dial connects to the server as a stranger would, for the n-th trick.
	// Each should come from another address, since a good server soon has
	// enough of a stranger like this.
	Dial func(n int) (net.Conn, error)
	// Domains that the server accepts mail for. Leave out those with a
	// catch-all: there every local part is a mailbox, that of a trick too.
	Domains []string
	// Hostname is the server's own name, and Literal its address literal
	// ("[192.0.2.25]"), for tricks that use them.
	Hostname, Literal string
	// Timeout for each trick. Default 1 min.
	Timeout time.Duration
}

// victim is whom the tricks are to reach. The domain exists nowhere
// (RFC 2606).
const (
	victim       = "victim"
	victimDomain = "open-relay-test.invalid"
)

// A Trick is one way to ask a server to relay.
type Trick struct {
	Name string
	Helo string // argument of EHLO
	From string // argument of MAIL FROM:, with brackets
	To   string // argument of RCPT TO:, likewise
	// Before are lines sent before EHLO, and Login ones after it; whatever the
	// server answers to them.
	Before, Login []string
}

// A Finding is a trick that worked, or of which the server did not say yes or
// no.
type Finding struct {
	Trick
	Reply string // the server's, to RCPT or to what it did not get past
	Open  bool   // it worked
}

// String tells the finding in a line.
func (f Finding) String() string {
	what := "undecided"
	if f.Open {
		what = "OPEN RELAY"
	}
	return fmt.Sprintf("%s: %s: EHLO %s, MAIL FROM:%s, RCPT TO:%s: %s", what, f.Name, f.Helo, f.From, f.To, f.Reply)
}

// Tricks are all that Run tries.
func (o *OpenRelayTest) Tricks() []Trick {
	plain := Trick{Name: "plain", Helo: "stranger.invalid", From: "<sender@stranger.invalid>", To: "<" + victim + "@" + victimDomain + ">"}
	tricks := []Trick{plain}
	with := func(name string, change func(*Trick)) {
		t := plain
		t.Name = name
		change(&t)
		tricks = append(tricks, t)
	}
	hosts := append([]string{o.Hostname, o.Literal, "localhost", "[127.0.0.1]"}, o.Domains...)
	for _, h := range hosts {
		if h == "" {
			continue
		}
		with("HELO as "+h, func(t *Trick) { t.Helo = h })
		with("sender of "+h, func(t *Trick) { t.From = "<sender@" + h + ">" })
		with("HELO and sender of "+h, func(t *Trick) { t.Helo, t.From = h, "<postmaster@"+h+">" })
		for name, to := range routes(h) {
			with(name+" through "+h, func(t *Trick) { t.To = to })
			with(name+" through "+h+", null sender", func(t *Trick) { t.From, t.To = "<>", to })
		}
	}
	for name, to := range oddities() {
		with(name, func(t *Trick) { t.To = to })
	}
	for _, d := range o.Domains {
		with("ends like "+d, func(t *Trick) { t.To = "<" + victim + "@not" + d + ">" })
		with("full stop of another script after "+d, func(t *Trick) { t.From, t.To = t.From+" SMTPUTF8", "<"+victim+"@"+d+"。"+victimDomain+">" })
		// IDNA maps U+FF1E, U+3000, U+FF1D and U+FF1B to ">", " ", "=" and ";".
		with("command in a domain below "+d, func(t *Trick) {
			t.From, t.To = t.From+" SMTPUTF8", "<"+victim+"@"+victimDomain+"\uff1e\u3000ORCPT\uff1drfc822\uff1bx."+d+">"
		})
		with("begins like "+d, func(t *Trick) { t.To = "<" + victim + "@" + d + "." + victimDomain + ">" })
	}
	with("null sender", func(t *Trick) { t.From = "<>" })
	with("sender without a domain", func(t *Trick) { t.From = "<sender>" })
	with("XCLIENT", func(t *Trick) {
		t.Login = []string{"XCLIENT ADDR=127.0.0.1 NAME=localhost LOGIN=postmaster", "EHLO localhost"}
	})
	with("XCLIENT of a user", func(t *Trick) { t.Login = []string{"XCLIENT LOGIN=admin", "EHLO localhost"} })
	with("XFORWARD", func(t *Trick) { t.Login = []string{"XFORWARD ADDR=127.0.0.1 NAME=localhost"} })
	with("PROXY", func(t *Trick) { t.Before = []string{"PROXY TCP4 127.0.0.1 127.0.0.1 1025 25"} })
	for name, plainText := range map[string]string{"nobody": "\x00\x00", "no password": "\x00postmaster\x00", "a guess": "\x00admin\x00admin", "for another": "postmaster\x00guest\x00guest"} {
		with("AUTH PLAIN as "+name, func(t *Trick) {
			t.Login = []string{"AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte(plainText))}
		})
	}
	with("AUTH EXTERNAL", func(t *Trick) { t.Login = []string{"AUTH EXTERNAL cG9zdG1hc3Rlcg=="} })
	with("AUTH ANONYMOUS", func(t *Trick) { t.Login = []string{"AUTH ANONYMOUS Z3Vlc3Q="} })
	with("MAIL AUTH parameter", func(t *Trick) { t.From += " AUTH=postmaster" })
	return tricks
}

// routes are ways to ask the host h, or the one behind it, to pass mail on.
func routes(h string) map[string]string {
	v, d := victim, victimDomain
	return map[string]string{
		"percent hack":                "<" + v + "%" + d + "@" + h + ">",
		"percent hack, twice":         "<" + v + "%" + d + "%" + h + "@" + h + ">",
		"postmaster percent hack":     "<postmaster%" + d + "@" + h + ">",
		"sub-address percent hack":    "<postmaster+" + v + "%" + d + "@" + h + ">",
		"sub-address bang path":       "<postmaster+" + d + "!" + v + "@" + h + ">",
		"quoted percent hack":         `<"` + v + "%" + d + `"@` + h + ">",
		"quoted address":              `<"` + v + "@" + d + `"@` + h + ">",
		"quoted path":                 `<"@` + d + ":" + v + `"@` + h + ">",
		"quoted node":                 `<"` + d + "::" + v + `"@` + h + ">",
		"quotes in quotes":            `<"\"` + v + `\"@` + d + `"@` + h + ">",
		"quoted, backslash":           `<"` + v + `\@` + d + `"@` + h + ">",
		"bang path":                   "<" + d + "!" + v + "@" + h + ">",
		"bang path to oneself":        "<" + h + "!" + d + "!" + v + ">",
		"bang path to oneself at h":   "<" + h + "!" + v + "@" + d + ">",
		"source route":                "<@" + h + ":" + v + "@" + d + ">",
		"source route of two":         "<@" + h + ",@" + d + ":" + v + "@" + d + ">",
		"source route, percent hack":  "<@" + h + ":" + v + "%" + d + "@" + d + ">",
		"two at signs":                "<" + v + "@" + d + "@" + h + ">",
		"two at signs, the other way": "<" + v + "@" + h + "@" + d + ">",
		"comment":                     "<" + v + "@" + d + "(@" + h + ")>",
		"space":                       "<" + v + "@" + d + " @" + h + ">",
		"two addresses":               "<" + v + "@" + d + ">,<postmaster@" + h + ">",
		"NUL":                         "<" + v + "@" + d + "\x00@" + h + ">",
		"end of line":                 "<postmaster@" + h + ">\nRCPT TO:<" + v + "@" + d + ">",
	}
}

// oddities are addresses that a parser may take for a local one.
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

// Run tries all tricks and returns those that worked or were not answered by
// yes or no. An error means that the server could not be tried.
func (o *OpenRelayTest) Run() ([]Finding, error) {
	var found []Finding
	for n, trick := range o.Tricks() {
		f, err := o.try(n, trick)
		if err != nil {
			return found, fmt.Errorf("policytest: %s: %w", trick.Name, err)
		}
		if f != nil {
			found = append(found, *f)
		}
	}
	return found, nil
}

// try is one session with one trick.
func (o *OpenRelayTest) try(n int, trick Trick) (*Finding, error) {
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
	k := &trickster{c: c, r: bufio.NewReader(c)}
	for _, line := range trick.Before {
		if _, err := io.WriteString(c, line+"\r\n"); err != nil {
			return nil, err
		}
	}
	if reply := k.reply(); reply[0] != '2' {
		return undecided(trick, reply), nil
	}
	// What came before the banner may have a reply of its own.
	if reply := k.say("EHLO " + trick.Helo); len(trick.Before) > 0 && reply[0] == '5' {
		k.reply()
	}
	for _, line := range trick.Login {
		k.say(line)
	}
	if reply := k.say("MAIL FROM:" + trick.From); reply[0] != '2' {
		return undecided(trick, reply), nil
	}
	reply := k.say("RCPT TO:" + trick.To)
	if reply[0] == '2' && strings.Contains(trick.To, "\n") { // the next reply is that to the trick
		reply = k.reply()
	}
	if reply[0] == '2' {
		return &Finding{Trick: trick, Reply: reply, Open: true}, nil
	}
	return undecided(trick, reply), nil
}

// undecided is a finding unless the server has said no for good.
func undecided(trick Trick, reply string) *Finding {
	if reply[0] == '5' || reply == gone {
		return nil
	}
	return &Finding{Trick: trick, Reply: reply}
}

// gone stands for the reply of a server that has closed the connection, which
// is a no.
const gone = "(closed)"

type trickster struct {
	c net.Conn
	r *bufio.Reader
}

func (k *trickster) say(line string) string {
	if _, err := io.WriteString(k.c, line+"\r\n"); err != nil {
		return gone
	}
	return k.reply()
}

func (k *trickster) reply() string {
	lines, err := smtptest.ReadReply(k.r)
	if err != nil {
		return gone
	}
	return lines[len(lines)-1]
}

// OpenRelay fails the test for each trick by which a stranger gets a server to
// relay, and each that it does not answer by yes or no. domains are those that
// it accepts mail for; see OpenRelayTest.Domains.
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
