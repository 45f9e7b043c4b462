package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A world is everything around the relay: two mail servers and a DNS server.
type world struct {
	organization *mailServer
	internet     *mailServer
	dns          *dnstest.Server
}

// startWorld runs the servers. Mail that they receive is written to .eml files
// below mailDir or, if mailDir is empty, printed to out.
func startWorld(mailDir string, out *printer) (*world, error) {
	w := new(world)
	var err error
	if w.organization, err = startMailServer("organization", "mail."+organizationDomain, mailDir, out); err != nil {
		return nil, err
	}
	if w.internet, err = startMailServer("internet", "mx."+internetDomain, mailDir, out); err != nil {
		return nil, err
	}
	// The DNS has the MX records of the internet's domains. No program listens at
	// the address of the second one.
	w.dns, err = dnstest.Start(fmt.Sprintf("%s. MX 10 mx.%[1]s.\nmx.%[1]s. A 127.0.0.1\n%s. MX 10 mx.%[2]s.\nmx.%[2]s. A 127.0.0.9\n", internetDomain, downDomain))
	return w, err
}

func (w *world) stop() {
	w.organization.srv.Close()
	w.internet.srv.Close()
	w.dns.Close()
}

// A mailServer is a mail server of another operator. It accepts every message
// and prints it or writes it to a file.
type mailServer struct {
	name string // "organization" or "internet"
	addr net.Addr
	srv  *smtpserver.Server
	dir  string // folder of the .eml files; empty: print
	out  *printer
}

func startMailServer(name, hostname, dir string, out *printer) (*mailServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &mailServer{name: name, addr: l.Addr(), out: out}
	if dir != "" {
		s.dir = filepath.Join(dir, name)
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return nil, err
		}
	}
	s.srv = &smtpserver.Server{
		Name:     name,
		Hostname: hostname,
		Handler:  smtpserver.HandlerFunc(s.receive),
		Agents: []smtpserver.Agent{{Name: "mailboxes", Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if strings.HasPrefix(to, "unknown@") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "Mailbox does not exist"}
			}
			return nil
		}}},
	}
	go s.srv.Serve(l)
	return s, nil
}

func (s *mailServer) receive(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
	var text bytes.Buffer
	if _, err := m.Content().WriteTo(&text); err != nil {
		return "", err
	}
	to := make([]string, len(m.Recipients))
	for i, r := range m.Recipients {
		to[i] = r.Addr
	}
	if s.dir == "" {
		s.out.received("The "+s.name, m.From, to, text.String())
	} else {
		file := filepath.Join(s.dir, m.ID+".eml")
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			return "", err
		}
		s.out.note("  The %s received: from <%s> to <%s>: %s", s.name, m.From, strings.Join(to, ">, <"), file)
	}
	return "", nil
}

func (s *mailServer) port() int {
	return s.addr.(*net.TCPAddr).Port
}
