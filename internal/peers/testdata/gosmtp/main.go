// Command gosmtp is a mail server that uses an old version of go-smtp. It accepts
// every recipient except nobody@... and logs each message that it accepts.
package main

import (
	"io"
	"log"
	"net"
	"strings"

	"github.com/emersion/go-smtp"
)

type backend struct{}

func (backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{}, nil }

type session struct {
	from string
	to   []string
}

func (s *session) AuthPlain(string, string) error { return smtp.ErrAuthUnsupported } // before v0.21.0
func (s *session) Reset()                         { s.from, s.to = "", nil }
func (s *session) Logout() error                  { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(strings.ToLower(to), "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err == nil {
		log.Printf("msg=taken from=%s to=%s text=%q", s.from, strings.Join(s.to, ","), text)
	}
	return err
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("msg=listening address=%s", l.Addr())
	srv := smtp.NewServer(backend{})
	srv.Domain, srv.EnableBINARYMIME, srv.AllowInsecureAuth = "next.example", true, true
	log.Fatal(srv.Serve(l))
}
