package gateway_test

import (
	"context"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// debugLines are the lines that each part logs at Debug, as parts of the text of
// slog.TextHandler. Each line has all of its texts.
var debugLines = map[string][][]string{
	"policy": {
		{`msg=rights`, `session=`, `client=127.0.0.1`, `tls=true`, `rights=`, `accept-any-recipient`},
		{`msg="agent decided"`, `agent=relay`, `verdict="550 No such`, `path=none@example.com`, `session=`},
	},
	"tls": {
		{`msg=TLS`, `connector=smtp`, `version="TLS 1.3"`, `cipher=TLS_`, `policy=offered`, `verified=`},
		{`msg=TLS`, `connector=internet`, `host=mx.example.net`, `version="TLS 1.3"`, `verified=none`, `policy=opportunistic`},
	},
	"routing": {{`msg=route`, `id=`, `to=bob@example.net`, `connector=internet`, `hop=example.net`, `space=*`, `cost=1`}},
	"dns": {
		{`msg="DNS lookup"`, `name=example.net`, `type=MX`, `took=`, `source=servers`, `answer="10 mx.example.net"`, `secure=false`},
		{`msg="DNS lookup"`, `name=mx.example.net`, `type=AAAA`, `error=`},
	},
	"queue": {{`msg="queue: retry"`, `id=`, `to=bob@example.net`, `hop="example.net via internet"`, `attempt=1`, `next=`, `reply="451 4.2.0 Later"`}},
}

// Each part logs at Debug what happened, and nothing when it is not at Debug. The
// lines have no content.
func TestDebugLines(t *testing.T) {
	only := func(part string) map[string]string { // what is logged with only this part at Debug
		tlsConfig, _ := smtptest.TLSConfig(t)
		upstream := smtptest.NewServer(t, &smtpserver.Server{TLSConfig: tlsConfig, Agents: []smtpserver.Agent{{Name: "later",
			Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error {
				return smtpserver.Reject(451, "4.2.0", "Later")
			}}}})
		port, err := strconv.Atoi(upstream.Addr[strings.LastIndexByte(upstream.Addr, ':')+1:])
		if err != nil {
			t.Fatal(err)
		}
		dns := dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1\n")
		var out syncBuffer
		var r *parts
		gateway.Main("relay", nil, &out, func(l *slog.Logger) (gateway.Runner, error) {
			r = newParts(t, func(p *parts) {
				p.Logger = l
				p.Resolver = &routing.DNSResolver{Servers: []string{dns.Addr}}
				p.srv.TLSConfig = tlsConfig
				p.srv.Agents = []smtpserver.Agent{{Name: "relay", Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
					if to == "none@example.com" {
						return smtpserver.Reject(550, "5.1.1", "No such user")
					}
					return nil
				}}}
				p.gate.Domains[0].SmartHosts = nil
				p.gate.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				p.table(routing.Site{}, routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: port})
			})
			return nil, context.Canceled
		})
		if part != "" {
			r.Levels()[part].Set(slog.LevelDebug)
		}
		events := r.Queue.Subscribe(0)
		defer events.Close()
		run(t, r.Gateway)
		smtptest.Talk(t, r.Listeners[0].Addr().String(), "S: 220\nC: EHLO client.example\nS: 250\nC: STARTTLS\nS: 220\nTLS\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com>\nS: 250\n"+
			"C: RCPT TO:<none@example.com>\nS: 550\nC: RCPT TO:<bob@example.net>\nS: 250\nC: DATA\nS: 354\nC: Subject: secret\nC:\nC: secret\nC: .\nS: 250\nC: QUIT\nS: 221\n")
		for e := range events.C {
			if e.Kind == queue.EventDefer { // the line about the retry is written before
				break
			}
		}
		lines := make(map[string]string)
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "level=DEBUG") {
				lines[line] = line
			}
		}
		return lines
	}
	if lines := only(""); len(lines) > 0 {
		t.Errorf("at Info: %q", lines)
	}
	for part, want := range debugLines {
		lines := only(part)
		for line := range lines {
			if strings.Contains(line, "secret") {
				t.Errorf("%s: content: %s", part, line)
			}
		}
		for _, texts := range want {
			found := false
			for line := range lines {
				all := true
				for _, text := range texts {
					all = all && strings.Contains(line, text)
				}
				found = found || all
			}
			if !found {
				t.Errorf("%s: no line with %q:\n%q", part, texts, lines)
			}
		}
	}
}
