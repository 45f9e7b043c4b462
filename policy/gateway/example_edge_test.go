package gateway_test

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/spool"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// An edge relay stands between the internet and the mail server of an
// organization. It checks the recipients and authenticates the senders (SPF, DKIM
// and DMARC) of mail from outside, and asks a web service about each recipient.
// Hosts of the networks and clients with an account may send to everyone.
func Example_edge() {
	e := edge{
		hostname: "mx.example.com", address: ":25", inside: "10.0.0.5", policy: "http://127.0.0.1:8080/policy", folder: "/var/lib/relay",
		networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, resolver: &routing.DNSResolver{},
		accounts: map[string]string{"scanner": os.Getenv("SCANNER_PASSWORD"), "shop": os.Getenv("SHOP_PASSWORD")},
	}
	os.Exit(gateway.Main("edge", os.Args[1:], os.Stderr, e.relay))
}

type edge struct {
	hostname, address, inside, policy, folder string
	networks                                  []netip.Prefix
	accounts                                  map[string]string // names and passwords
	resolver                                  routing.Resolver
	mxPort                                    int // 0 means 25
}

func (e *edge) relay(logger *slog.Logger) (gateway.Runner, error) {
	cert, certErr := tls.LoadX509KeyPair(e.folder+"/cert.pem", e.folder+"/key.pem")
	domains := []policy.Domain{
		{Name: "example.com", Directory: policy.Recipients("alice", "bob"), SmartHosts: []string{e.inside}},
		{Name: "example.org", Directory: policy.Recipients("carol"), SmartHosts: []string{e.inside}},
		{Name: "lab.example.com", Kind: policy.InternalRelay, SmartHosts: []string{e.inside}},
	}
	table, tableErr := routing.Site{Accepted: policy.Destinations(domains...)}.NewTable(
		routing.Connector{Name: "internet", Spaces: []string{"*"}, Port: e.mxPort}) // all other domains: by MX
	store, storeErr := spool.Open(e.folder+"/spool", nil)
	if err := errors.Join(certErr, tableErr, storeErr); err != nil {
		return nil, err
	}
	router := &routing.Router{Table: table}
	q := &queue.Queue{Store: store, Deliverer: router}
	protocol := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: e.folder + "/protocol"})
	srv := &smtpserver.Server{
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{cert}},
		Auth:        smtpserver.PasswordAuth(e.login),
		Agents:      []smtpserver.Agent{{Name: "policy service", Rcpt: e.ask}},
		ContentFile: store.CreateFile, ProtocolLog: protocol,
	}
	gate := &policy.Gate{
		Domains: domains, Networks: e.networks, Authenticated: true, Queue: q,
		MailAuth: []smtpserver.Agent{new(spf.Checker).Agent(), new(dkim.Verifier).Agent(), (&dmarc.Checker{Enforce: true}).Agent()},
		Inbound:  []smtpserver.Agent{new(authres.Stamper).Agent()},
	}
	return &gateway.Gateway{
		Hostname: e.hostname, Logger: logger, Resolver: e.resolver,
		Listeners: []*gateway.Listener{{Server: srv, Address: e.address}}, Queue: q,
		Tracking: &tracking.Log{Dir: e.folder + "/tracking"},
		Closers:  []io.Closer{router, store, protocol},
	}, gate.Install(srv)
}

// login checks the password of an account.
func (e *edge) login(_ context.Context, _ *smtpserver.Session, name, password string) error {
	want, known := e.accounts[name]
	if !known || subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 0 {
		return errors.New("wrong name or password")
	}
	return nil
}

// ask asks the policy service whether a recipient may get mail from a sender.
func (e *edge) ask(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
	question := url.Values{"client": {s.RemoteAddr().String()}, "from": {s.Message().From}, "to": {to}}
	req, err := http.NewRequestWithContext(ctx, "GET", e.policy+"?"+question.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return err // the server logs it and replies 451: the client tries again
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusForbidden:
		return smtpserver.Reject(550, "5.7.1", "Refused by policy")
	}
	return fmt.Errorf("policy service: %s", resp.Status)
}
