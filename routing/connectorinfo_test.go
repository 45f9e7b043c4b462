package routing

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

var _ site.Routing = (*Router)(nil)

// The description of a connector has its settings and the state of its
// schedules, and no secret.
func TestSendConnectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // 2000-01-01 00:00 UTC, a Saturday
		lmtp := &smtpclient.Transport{LMTP: true, Auth: smtpclient.PasswordAuth("box", "secret2")}
		encrypt := smtpclient.TLSPolicy{Level: smtpclient.TLSEncrypt}
		r := &Router{Hostname: "relay.test", Table: table(t,
			Connector{
				Name: "partner", Spaces: []string{"SMTP: *.Example.NET ; 7", "[192.0.2.9]"}, Exclusive: true, Fallback: "spare",
				SmartHosts: []SmartHost{{Host: "mx.example.net:587", Weight: 3}, {Host: "example.org", MX: true, Preference: 2}},
				Auth:       smtpclient.PasswordAuth("relay", "secret1"),
				Schedule:   schedule(t, "08:00-18:00", time.UTC), OversizeSchedule: schedule(t, "22:00-06:00", time.UTC), OversizeSize: 1000,
				Scope:         Scope{Senders: []string{"example.com"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Identities: []string{"app"}},
				RefuseSenders: []string{"<>"}, Priorities: HighPriority | LowPriority, SystemMessages: SystemNever, MaxMessageSize: 5000,
				MaxConcurrency: 2, Retry: []time.Duration{time.Minute}, Expire: time.Hour,
			},
			Connector{Name: "spare", Disabled: true, OnDemand: true, Transport: SMTP(lmtp)},
			Connector{Name: "internet", Spaces: []string{"*"}, Port: 2525, DomainTLS: map[string]smtpclient.TLSPolicy{"example.com": encrypt},
				Hold: true, HoldAccounts: []string{"etrn"}},
			Connector{Name: "archive", RoutedOnly: true, Transport: &postman{}})}
		defer r.Close()
		got, err := json.MarshalIndent(r.SendConnectors(), "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		const want = `[
	{
		"name": "partner",
		"enabled": true,
		"spaces": [
			{
				"space": "*.example.net",
				"cost": 7
			},
			{
				"space": "[192.0.2.9]",
				"cost": 1
			}
		],
		"exclusive": true,
		"fallback": "spare",
		"delivery": "smart hosts",
		"smartHosts": [
			{
				"host": "mx.example.net:587",
				"preference": 0,
				"weight": 3
			},
			{
				"host": "example.org",
				"mx": true,
				"preference": 2,
				"weight": 1
			}
		],
		"tls": "domain",
		"auth": true,
		"scope": {
			"senders": [
				"example.com"
			],
			"networks": [
				"10.0.0.0/8"
			],
			"identities": [
				"app"
			]
		},
		"maxMessageSize": 5000,
		"refuseSenders": [
			"\u003c\u003e"
		],
		"priorities": [
			"high",
			"low"
		],
		"systemMessages": "never",
		"schedule": {
			"text": "08:00-18:00",
			"zone": "UTC",
			"open": false,
			"changes": "2000-01-01T08:00:00Z"
		},
		"oversizeSchedule": {
			"text": "22:00-06:00",
			"zone": "UTC",
			"open": true,
			"changes": "2000-01-01T06:00:00Z"
		},
		"oversizeSize": 1000,
		"maxConcurrency": 2,
		"retry": [
			"1m0s"
		],
		"expiry": "1h0m0s"
	},
	{
		"name": "spare",
		"enabled": false,
		"spaces": [],
		"delivery": "DNS",
		"port": 25,
		"lmtp": true,
		"tls": "domain",
		"auth": true,
		"onDemand": true
	},
	{
		"name": "internet",
		"enabled": true,
		"spaces": [
			{
				"space": "*",
				"cost": 1
			}
		],
		"delivery": "DNS",
		"port": 2525,
		"tls": "opportunistic",
		"domainTLS": {
			"example.com": "encrypt"
		},
		"auth": false,
		"hold": true,
		"holdAccounts": [
			"etrn"
		]
	},
	{
		"name": "archive",
		"enabled": true,
		"spaces": [],
		"routedOnly": true,
		"delivery": "routing.postman",
		"auth": false
	}
]`
		if string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if strings.Contains(string(got), "secret") {
			t.Error("the description has a password")
		}
	})
}

// The TLS level of a transport that Router.NewTransport makes applies to the
// connectors that have no Transport.
func TestLevelOfNewTransport(t *testing.T) {
	s, resolver := inMemory(t, "example.net. A 192.0.2.1")
	defer s.Close()
	r := &Router{Table: table(t, Connector{Name: "c", Spaces: []string{"*"}}), Resolver: resolver, Hostname: "relay.test",
		NewTransport: func(string) *smtpclient.Transport {
			return &smtpclient.Transport{TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSEncrypt}}
		}}
	defer r.Close()
	if e := r.Explain(t.Context(), Question{To: "a@example.net", Hosts: true}); e.TLS != "encrypt" {
		t.Errorf("Explain: TLS %s", e.TLS)
	}
	if c := r.SendConnectors()[0]; c.TLS != "encrypt" {
		t.Errorf("SendConnectors: TLS %s", c.TLS)
	}
}

// NextClose returns the end of windows that follow each other.
func TestScheduleNextClose(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, at, closes string }{
		{"08:00-18:00", "2026-11-23 09:00", "2026-11-23 18:00"},
		{"08:00-18:00", "2026-11-23 18:00", "2026-11-23 18:00"}, // closed: now
		{"08:00-12:00,12:00-18:00", "2026-11-23 09:00", "2026-11-23 18:00"},
		{"08:00-12:00,10:00-18:00", "2026-11-23 09:00", "2026-11-23 18:00"},
		{"22:00-06:00", "2026-11-23 03:00", "2026-11-23 06:00"},
		{"Mon-Fri always", "2026-11-23 03:00", "2026-11-28 00:00"},
		{"always", "2026-11-23 03:00", ""},
		{"always; 2026-12-25 closed", "2026-11-23 03:00", "2026-12-25 00:00"},
		{"always; 2028-12-25 closed", "2026-11-23 03:00", ""}, // in more than a year
		// The clock goes from 02:00 to 03:00.
		{"01:00-02:30", "2026-03-29 01:30", "2026-03-29 03:30"},
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", c.at, berlin)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if end := schedule(t, c.text, berlin).NextClose(at); !end.IsZero() {
			got = end.In(berlin).Format("2006-01-02 15:04")
		}
		if got != c.closes {
			t.Errorf("%q at %s: closes %q, want %q", c.text, c.at, got, c.closes)
		}
	}
	if end := (*Schedule)(nil).NextClose(time.Now()); !end.IsZero() {
		t.Errorf("a nil Schedule closes at %v", end)
	}
}
