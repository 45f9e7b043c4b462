package rewrite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A book is a PrimarySource with fixed answers.
type book map[string]string

func (b book) Primary(_ context.Context, address string) (string, error) {
	switch to := b[strings.ToLower(address)]; to {
	case "down":
		return "", errors.New("no server answers")
	case "several":
		return "", fmt.Errorf("ldap: %w", policy.ErrAmbiguous)
	default:
		return to, nil
	}
}

var alices = book{
	"alice@example.com": "alice.smith@example.com", "as@sales.example.com": "alice.smith@example.com", "alice.smith@example.com": "Alice.Smith@Example.com",
	"office@example.com": "several", "slow@example.com": "down", "joerg@example.com": "jörg@example.com", "odd@example.com": "not an address",
	"bob@example.net": "robert@example.net", // not in Domains
}

func TestPrimary(t *testing.T) {
	p := &Primary{Source: alices, Domains: []string{"Example.com"}}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, header, wantFrom, want string }{
		{"alice@example.com", "From: Alice <Alice@example.com>\r\nTo: as@sales.example.com\r\n", "alice.smith@example.com",
			"From: Alice <alice.smith@example.com>\r\nTo: as@sales.example.com\r\n"},
		{"as@sales.example.com", "From: alice.smith@example.com\r\nReply-To: alice@example.com, bob@example.net\r\n", "alice.smith@example.com",
			"From: alice.smith@example.com\r\nReply-To: alice.smith@example.com, bob@example.net\r\n"},
		{"office@example.com", "From: office@example.com\r\n", "office@example.com", "From: office@example.com\r\n"},
		{"unknown@example.com", "From: \"alice@example.com\" <unknown@example.com>\r\n", "unknown@example.com", "From: \"alice@example.com\" <unknown@example.com>\r\n"},
		{"joerg@example.com", "From: joerg@example.com\r\n", "joerg@example.com", "From: joerg@example.com\r\n"}, // no SMTPUTF8
		{"", "From: mailer-daemon@example.com\r\n", "", "From: mailer-daemon@example.com\r\n"},
		{"", "Subject: no author\r\n", "", "Subject: no author\r\n"},
	} {
		got := agenttest.Relay(t, tt.from, []string{"alice@example.com"}, tt.header+"\r\nalice@example.com\r\n", p.Agent())
		if want := tt.want + "\r\nalice@example.com\r\n"; got.From != tt.wantFrom || got.Data != want || got.To[0] != "alice@example.com" {
			t.Errorf("from %s:\n%s\nbecame from %s to %v:\n%s", tt.from, tt.header, got.From, got.To, got.Data)
		}
	}
}

// No message leaves with an address that could be wrong.
func TestPrimaryIsNotKnown(t *testing.T) {
	p := &Primary{Source: alices, Domains: []string{"example.com"}, MaxLookups: 3}
	for header, code := range map[string]int{
		"From: slow@example.com\r\n":                                       451,
		"From: alice@example.com\r\nSender: slow@example.com\r\n":          451,
		"From: odd@example.com\r\n":                                        451,
		"From: <alice@example.com> x@example.com\r\n":                      550, // its author is not clear
		"From: a@example.com, b@example.com, c@example.com, d@example.com": 550,
	} {
		agenttest.Refused(t, code, "x@example.net", []string{"b@example.net"}, strings.TrimSuffix(header, "\r\n")+"\r\n\r\nx\r\n", p.Agent())
	}
	agenttest.Refused(t, 451, "slow@example.com", []string{"b@example.net"}, "From: alice@example.com\r\n\r\nx\r\n", p.Agent())
	p.When = func(*smtpserver.Session, *smtpserver.Message) bool { return false }
	if got := agenttest.Relay(t, "slow@example.com", []string{"b@example.net"}, "From: slow@example.com\r\n\r\n", p.Agent()); got.From != "slow@example.com" {
		t.Errorf("When is false: %s", got.From)
	}
}

func TestPrimaryValidate(t *testing.T) {
	for want, p := range map[string]*Primary{
		"Source is not set":   {Domains: []string{"example.com"}},
		"Domains is empty":    {Source: alices},
		`"a@b" is not a`:      {Source: alices, Domains: []string{"a@b"}},
		"MaxLookups is negat": {Source: alices, Domains: []string{"example.com"}, MaxLookups: -1},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The source is asked once for each address, and never for more than MaxLookups.
func TestPrimaryLookups(t *testing.T) {
	for _, n := range []int{1, 2, 20} {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("u%d@example.com, U <u%[1]d@example.com>, v%[1]d@example.net", i))
		}
		asked := 0
		p := &Primary{Domains: []string{"example.com"}, Source: sourceFunc(func(string) { asked++ })}
		agenttest.Relay(t, "", []string{"b@example.net"}, "From: "+strings.Join(all, ",\r\n ")+"\r\n\r\n", p.Agent())
		if asked != n {
			t.Errorf("%d addresses: %d lookups", n, asked)
		}
	}
}

type sourceFunc func(address string)

func (f sourceFunc) Primary(_ context.Context, address string) (string, error) {
	f(address)
	return "", nil
}
