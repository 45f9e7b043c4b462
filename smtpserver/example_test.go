package smtpserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/smtp"
	"net/url"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// This server accepts mail for one domain and prints it.
func Example() {
	recipients := smtpserver.Agent{
		Name: "recipients",
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *gosmtp.RcptOptions) error {
			if !strings.HasSuffix(to, "@example.com") {
				return smtpserver.Reject(550, "5.7.1", "Unable to relay")
			}
			return nil
		},
	}
	srv := &smtpserver.Server{
		Hostname: "mx.example.com",
		Agents:   []smtpserver.Agent{recipients},
		Handler: smtpserver.HandlerFunc(func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
			defer m.Close()
			fmt.Printf("from %s to %s: %s\n", m.From, m.Recipients[0].Addr, m.Header.Get("Subject"))
			return "Thank you", nil
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()

	addr := l.Addr().String()
	message := []byte("Subject: hello\r\n\r\nworld\r\n")
	fmt.Println(smtp.SendMail(addr, nil, "alice@example.net", []string{"bob@example.com"}, message))
	fmt.Println(smtp.SendMail(addr, nil, "alice@example.net", []string{"bob@example.org"}, message))

	if err := srv.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-done)
	// Output:
	// from alice@example.net to bob@example.com: hello
	// <nil>
	// 550 "5.7.1 Unable to relay"
	// smtpserver: Server closed
}

// A webhook posts each message to a web service. The client gets 250 after the
// service has accepted the message. Otherwise it keeps the message: it tries again
// later, or reports the failure to the sender.
func ExampleHandlerFunc() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("to") == "full@example.com" {
			w.WriteHeader(http.StatusInsufficientStorage)
			return
		}
		text, _ := io.ReadAll(r.Body)
		fmt.Printf("to %s: %q\n", r.FormValue("to"), text)
	}))
	defer service.Close()

	client := &http.Client{Timeout: time.Minute}
	post := func(ctx context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
		envelope := url.Values{"from": {m.From}}
		for _, r := range m.Recipients {
			envelope.Add("to", r.Addr)
		}
		c := m.Content()
		body := io.NewSectionReader(c, 0, c.Size())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, service.URL+"?"+envelope.Encode(), body)
		if err != nil {
			return "", err
		}
		req.ContentLength = c.Size()
		req.Header.Set("Content-Type", "message/rfc822")
		resp, err := client.Do(req)
		if err != nil {
			return "", err // the reply is 451 4.3.0, and the server logs the error
		}
		resp.Body.Close()
		switch resp.StatusCode / 100 {
		case 2:
			m.Close() // the content is no longer needed
			return "", nil
		case 4:
			return "", smtpserver.Reject(554, "5.6.0", "The application does not accept the message")
		}
		return "", errors.New(resp.Status)
	}
	srv := &smtpserver.Server{
		Hostname: "mx.example.com",
		// Without this agent the server would accept mail for all recipients.
		Agents: []smtpserver.Agent{{Name: "recipients", Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *gosmtp.RcptOptions) error {
			if !strings.HasSuffix(to, "@example.com") {
				return smtpserver.Reject(550, "5.7.1", "Unable to relay")
			}
			return nil
		}}},
		Handler: smtpserver.HandlerFunc(post),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()

	message := []byte("Subject: hello\r\n\r\nworld\r\n")
	for _, to := range []string{"bob@example.com", "full@example.com"} {
		fmt.Println(smtp.SendMail(l.Addr().String(), nil, "alice@example.net", []string{to}, message))
	}

	if err := srv.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	<-done
	client.CloseIdleConnections()
	// Output:
	// to bob@example.com: "Subject: hello\r\n\r\nworld\r\n"
	// <nil>
	// 451 "4.3.0 Local error, try again later"
}

// Users log in with a password, under TLS.
func ExamplePasswordAuth() {
	srv := &smtpserver.Server{
		// TLSConfig: with the server's certificate.
		TLSMode: smtpserver.TLSRequired,
		Auth: smtpserver.PasswordAuth(func(_ context.Context, _ *smtpserver.Session, username, password string) error {
			if username == "alice" && password == "wonderland" { // ask a database instead
				return nil
			}
			return errors.New("unknown user or wrong password")
		}),
	}
	fmt.Println(srv.Auth.Mechanisms(nil))
	// Output: [PLAIN LOGIN]
}

// An agent adds a field to each message. The rest of the message does not
// change.
func ExampleHeader_Prepend() {
	stamp := smtpserver.Agent{
		Name: "stamp",
		EndOfHeaders: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			return m.Header.Prepend(fmt.Sprintf("X-Client: %s\r\n", s.Helo()))
		},
	}
	var m smtpserver.Message
	if err := m.Header.Append("Subject: hello\r\n"); err != nil {
		log.Fatal(err)
	}
	if err := stamp.EndOfHeaders(context.Background(), new(smtpserver.Session), &m); err != nil {
		log.Fatal(err)
	}
	for _, f := range m.Header.Fields() {
		fmt.Printf("%q\n", f)
	}
	// Output:
	// "X-Client: \r\n"
	// "Subject: hello\r\n"
}

// An agent answers ETRN, announces it, and adds it to the commands that HELP
// lists.
func ExampleAgent_command() {
	etrn := smtpserver.Agent{
		Name:     "etrn",
		Keywords: func(*smtpserver.Session) []string { return []string{"ETRN"} },
		Help:     func(*smtpserver.Session) []string { return []string{"ETRN domain"} },
		Command: func(_ context.Context, _ *smtpserver.Session, verb, domain string) (*smtpserver.Reply, error) {
			if verb != "ETRN" {
				return nil, nil // not ours
			}
			// Here the queue would be told to run for the domain.
			return &smtpserver.Reply{Code: 250, EnhancedCode: gosmtp.EnhancedCode{2, 0, 0}, Lines: []string{"Queuing for " + domain + " started"}}, nil
		},
	}
	r, err := etrn.Command(context.Background(), nil, "ETRN", "example.org")
	fmt.Println(r.Code, r.Lines[0], err)
	// Output: 250 Queuing for example.org started <nil>
}

// A session that was written for go-smtp is used without changes.
func ExampleAdaptGoSMTP() {
	newSession := func(s *smtpserver.Session) (gosmtp.Session, error) { return discardAll{}, nil }
	agent, handler, _ := smtpserver.AdaptGoSMTP(newSession)
	srv := &smtpserver.Server{Agents: []smtpserver.Agent{agent}, Handler: handler}
	fmt.Println(srv.Agents[0].Name)
	// Output: go-smtp
}

// The protocol log is written to files. A new file starts each day.
func ExampleNewProtocolLog() {
	log := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: "/var/log/relay"})
	srv := &smtpserver.Server{Name: "internet", ProtocolLog: log}
	// Once the server has shut down: log.Close()
	fmt.Println(srv.Name)
	// Output: internet
}

// The protocol log in the W3C extended log file format, which tools for the logs of
// IIS read.
func ExampleNewW3CProtocolLog() {
	var file strings.Builder // a program uses &smtpserver.ProtocolLogFiles{Dir: "/var/log/relay"}
	log := smtpserver.NewW3CProtocolLog(&file, "RELAY1")
	event := smtpserver.ProtocolEvent{Time: time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC), Session: "1", Connector: "internet",
		Local: "192.0.2.1:25", Remote: "198.51.100.7:4711", Kind: '<', Data: "MAIL FROM:<a@example.net> SIZE=120"}
	log.Log(event) // a Server does this, if the log is its ProtocolLog
	event.Time, event.Kind, event.Data = event.Time.Add(7*time.Millisecond), '>', "250 2.1.0 Ok"
	log.Log(event)
	if err := log.Close(); err != nil {
		fmt.Println(err)
	}
	_, lines, _ := strings.Cut(file.String(), "#Fields: ")
	fmt.Print(lines)
	// Output:
	// date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)
	// 2026-11-29 08:00:00 198.51.100.7 - internet RELAY1 192.0.2.1 25 MAIL - +FROM:<a@example.net>+SIZE=120 250 0 14 36 7 SMTP - - - -
}

type discardAll struct{ gosmtp.Session }

// certificate returns the certificate of the server, from a file or a cache.
func certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errors.New("not in this example")
}

// Users log in without sending their password. Hosts that serve the same users
// must use the same Secret.
func ExampleScram() {
	alice, err := smtpserver.NewScramCredentials("wonderland", 0)
	if err != nil {
		log.Fatal(err)
	}
	users := map[string]smtpserver.ScramCredentials{"alice": alice} // of a file or a database
	srv := &smtpserver.Server{
		Hostname: "smtp.example.com",
		// AUTH needs TLS.
		TLSConfig: &tls.Config{GetCertificate: certificate},
		Auth: &smtpserver.Scram{
			Lookup: func(_ context.Context, _ *smtpserver.Session, username string) (smtpserver.ScramCredentials, error) {
				c, ok := users[username]
				if !ok {
					return c, errors.New("unknown user")
				}
				return c, nil
			},
			Secret: []byte("16 random bytes "), // read from a file that no one else can read
		},
	}
	fmt.Println(srv.Validate())
	// Output: <nil>
}

// A program shows what the sessions do that wait for an agent or the handler, and
// ends those that have waited for an hour.
func ExampleServer_Sessions() {
	srv := &smtpserver.Server{Name: "edge"}
	for _, s := range srv.Sessions() {
		if s.Waiting == "" {
			continue
		}
		since := time.Since(s.StateSince).Round(time.Second)
		fmt.Printf("%s %s: %s since %v, waits for %s\n", s.ID, s.Remote, s.State, since, s.Waiting)
		if since > time.Hour {
			srv.EndSession(s.ID)
		}
	}
}

// A program shows the dialogue of all new sessions of a network for ten minutes.
func ExampleServer_Watch() {
	srv := &smtpserver.Server{Name: "edge"}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	lines, err := srv.Watch(ctx, smtpserver.WatchFilter{Client: netip.MustParsePrefix("192.0.2.0/24")})
	if err != nil {
		log.Fatal(err)
	}
	for l := range lines {
		fmt.Printf("%s %c %s %s\n", l.Session, l.Kind, l.Data, l.Context)
	}
}
