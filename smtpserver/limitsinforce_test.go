package smtpserver

import (
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// LimitsInForce has each limit: its setting or its default, with its unit.
func TestLimitsInForce(t *testing.T) {
	srv := &Server{ContentBudget: &ContentBudget{}, Limits: Limits{MessageSize: 10 << 20, Connections: -1, CommandTimeout: 90 * time.Second, TextLine: 1500}}
	got := map[string]site.Limit{}
	for _, l := range srv.LimitsInForce() {
		got[l.Name] = l
	}
	for name, want := range map[string]string{
		"MessageSize": "10 MiB", "HeaderSize": "256 KiB", "CommandLine": "2 KiB", "TextLine": "1500 bytes", "Recipients": "200", "Hops": "30",
		"Connections": "no limit", "ConnectionRate": "no limit", "MessageRate": "600 per minute", "Exempt": "127.0.0.0/8, ::1/128",
		"SessionMessages": "no limit", "SessionBytes": "no limit", "ProtocolErrors": "5", "CommandTimeout": "1m30s", "DataTimeout": "3m",
		"DataRate": "500 bytes/s", "SessionTimeout": "no limit", "OverloadPercent": "90 percent", "Tarpit": "5s", "ContentBudget.Max": "256 MiB",
	} {
		l := got[name]
		if l.Text != want || (l.Value == nil) != (want == "no limit" || name == "Exempt") {
			t.Errorf("%s: %+v, want %q", name, l, want)
		}
	}
	if v := got["CommandTimeout"].Value; v == nil || *v != 90 {
		t.Errorf("%+v", got["CommandTimeout"])
	}
	none := &Server{Limits: Limits{UnknownRecipients: -1, DataRate: -1, Tarpit: -1, OverloadPercent: -1}, ContentBudget: &ContentBudget{Max: -1}}
	for _, l := range none.LimitsInForce() {
		switch l.Name {
		case "UnknownRecipients", "DataRate", "Tarpit", "OverloadPercent", "ContentBudget.Max":
			if l.Text != "no limit" || l.Value != nil {
				t.Errorf("%+v", l)
			}
		}
	}
}
