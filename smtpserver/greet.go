package smtpserver

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// banner calls the agents' Connect and sends the banner (RFC 5321, 3.1).
func (s *Session) banner() error {
	if err := s.connect(); err != nil || s.state == refusedAtConnect {
		return err
	}
	if err := s.beforeBanner(); err != nil {
		return err
	}
	s.greet()
	return nil
}

// connect calls Connect of the agents. If one refuses, its reply replaces the
// banner.
func (s *Session) connect() error {
	s.begun = true
	v := s.ask(func(a *Agent) error {
		if a.Connect == nil {
			return nil
		}
		return a.Connect(s.ctx, s)
	})
	s.atConnect = s.allowance
	switch {
	case v == nil:
		return nil
	case v.discard:
		s.discard(v.by)
		return nil
	}
	s.refuse(v)
	if v.close || v.reply.Code != 554 {
		return errClosing
	}
	s.show(live.StateRefused, time.Time{})
	s.state = refusedAtConnect // RFC 5321, 3.1: the client must send QUIT
	return nil
}

func (s *Session) greet() {
	text := s.srv.Banner
	switch {
	case text != "":
	case s.srv.LMTP:
		text = "LMTP"
	default:
		text = "ESMTP"
	}
	s.reply(220, noCode, s.srv.hostname+" "+text)
	s.state = connected
}

// beforeBanner waits for Server.BannerDelay, and refuses a client that sends
// input before the banner.
func (s *Session) beforeBanner() error {
	if s.srv.BannerDelay <= 0 {
		if s.in.poll() != nil {
			return io.EOF
		}
		return s.checkEarly("before the banner")
	}
	switch err := s.await(waitBanner, s.waitAtMost(s.srv.BannerDelay)); {
	case err == nil:
		return s.checkEarly("before the banner")
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	if s.ending.Load() {
		return s.byeEnded() // RFC 5321, 3.1 allows 421 instead of the banner
	}
	return nil
}

func (s *Session) cmdEHLO(arg string) error {
	if s.srv.LMTP {
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 1}, "This is an LMTP server: use LHLO")
	}
	return s.extendedHello(arg)
}

func (s *Session) cmdLHLO(arg string) error {
	if !s.srv.LMTP {
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 1}, "This is not an LMTP server: use EHLO")
	}
	return s.extendedHello(arg)
}

func (s *Session) cmdHELO(arg string) error {
	if s.srv.LMTP {
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 1}, "This is an LMTP server: use LHLO")
	}
	if ok, err := s.hello(arg); !ok {
		return err
	}
	s.esmtp = false
	s.reply(250, noCode, s.srv.hostname)
	return nil
}

func (s *Session) extendedHello(arg string) error {
	// RFC 2920, 3.1: EHLO is the last command of a batch.
	if err := s.checkEarly("before the reply to EHLO"); err != nil {
		return err
	}
	if ok, err := s.hello(arg); !ok {
		return err
	}
	s.esmtp = true
	first := s.srv.hostname + " greets " + s.helo.safe
	s.reply(250, noCode, strings.Join(append([]string{first}, s.keywords()...), "\n"))
	return nil
}

// hello is the common part of HELO, EHLO and LHLO.
func (s *Session) hello(name string) (bool, error) {
	if !s.srv.validHelo(name) {
		return false, s.protocolError(501, smtp.EnhancedCode{5, 5, 4}, "Give your domain name or address literal")
	}
	// RFC 5321, 4.1.4: a greeting during the session resets it.
	s.reset()
	was := s.helo
	s.helo = heloName{name, addr.SafeHelo(name)}
	s.show(live.StateHelo, time.Time{})
	ok, err := s.pass(s.ask(func(a *Agent) error {
		if a.Helo == nil {
			return nil
		}
		return a.Helo(s.ctx, s, name)
	}))
	if !ok {
		s.helo = was
		s.show(live.StateHelo, time.Time{})
		return false, err
	}
	s.dsn = s.srv.has(ExtDSN) && !s.noDSN
	s.state = ready
	return true, nil
}

// checkEarly refuses a client that has sent input before a reply that it must
// wait for. Spam engines do this. If the input could be message text as well as
// commands, it may also be smuggling.
func (s *Session) checkEarly(when string) error {
	if s.srv.AllowEarlyInput || len(s.in.buffered()) == 0 {
		return nil
	}
	s.refuse(&verdict{reply: refusal(554, 5, 5, 0, "You must not send input "+when), by: "pipelining"})
	return errClosing
}
