package dkim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// VerdictOf returns the verdict for the current transaction of s, or nil if it
// was not verified.
func VerdictOf(s *smtpserver.Session) *Verdict {
	return transaction.Get[Verdict](s, s.Message())
}

// Inherit sets Resolver if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (v *Verifier) Inherit(d smtpserver.Defaults) {
	d.FillResolver(&v.Resolver)
}

// Agent returns an agent that verifies each message at the end of data. It
// refuses no message. Add it before agents that change the message.
func (v *Verifier) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "dkim", Inherit: v.Inherit, EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		verdict, sums, err := v.verify(ctx, transaction.Fields(m), bodyOf(m))
		if err != nil {
			return err // the content cannot be read
		}
		for form, sum := range sums {
			if sum != nil {
				transaction.SetBodySum(s, m, dkimsig.Canon(form), sum)
			}
		}
		transaction.Set(s, m, verdict)
		return nil
	}}
}

// Agent returns an agent that signs messages at the end of data. Add it after
// all agents that change the message, and before the agent that adds the
// Received field. It does not sign a message whose author's domain cannot be
// determined. If a message has more than 1,000 fields to sign, the agent
// refuses it with 554 5.6.0. If signing fails for another reason, the client
// gets a temporary error.
func (s *Signer) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "dkim sign", EndOfData: func(ctx context.Context, session *smtpserver.Session, m *smtpserver.Message) error {
		if s.When != nil && !s.When(session, m) || s.When == nil && session.Identity() == "" {
			return nil
		}
		return s.signMessage(ctx, m)
	}}
}

// Hook returns a queue hook that signs messages that did not arrive by SMTP:
// reports of the queue, and messages that the program enqueues. It does not sign
// replayed messages (Origin.Connector is "replay"), because anyone may have
// written them. Add it after all hooks that change the message. Content with LF line ends is signed
// with CRLF, as package smtpclient sends it.
func (s *Signer) Hook() queue.Hook {
	return queue.Hook{Name: "dkim sign", Submitted: func(ctx context.Context, m *queue.Message) error {
		if m.Origin.Protocol != "" || m.Origin.Connector == "replay" {
			return nil
		}
		whole, ok := m.Content.(*content.Content)
		if !ok {
			whole = content.Section(m.Content, 0, m.Content.Size())
		}
		fields, body, err := openSource(io.NewSectionReader(whole, 0, whole.Size()))
		if err != nil {
			return fmt.Errorf("dkim: %w", err)
		}
		signed, err := s.signFields(ctx, fields, body)
		if err != nil || signed == "" {
			return err
		}
		if hasLF, err := beginsWithLF(whole); err != nil {
			return err
		} else if hasLF {
			signed = strings.ReplaceAll(signed, "\r\n", "\n")
		}
		m.Content = content.Join(content.Of([]byte(signed)), whole)
		return nil
	}}
}

// beginsWithLF reports whether the first line ends in a bare LF.
func beginsWithLF(c *content.Content) (bool, error) {
	line, err := bufio.NewReader(io.NewSectionReader(c, 0, c.Size())).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	return strings.HasSuffix(line, "\n") && !strings.HasSuffix(line, "\r\n"), nil
}

func (s *Signer) signMessage(ctx context.Context, m *smtpserver.Message) error {
	signed, err := s.signFields(ctx, transaction.Fields(m), bodyOf(m))
	if err != nil || signed == "" {
		return err
	}
	return m.Header.Prepend(signed)
}

// signFields returns the signatures for the author of a message. It returns "" if
// there is no key for the author's domain, or no such domain.
func (s *Signer) signFields(ctx context.Context, fields [][]byte, body source) (string, error) {
	h := dkimsig.NewHeader(fields)
	var from []string
	for _, f := range h.Named("from") {
		from = append(from, smtpserver.Field(f).Value())
	}
	domain, err := header.AuthorDomain(from)
	if err != nil {
		return "", nil
	}
	signed, err := s.sign(ctx, domain, h, body)
	var tooMuch limitError
	if errors.As(err, &tooMuch) { // a permanent failure
		return "", &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "The message cannot be signed: " + string(tooMuch)}
	}
	return signed, err
}

// bodyOf returns the body of a message.
func bodyOf(m *smtpserver.Message) source {
	open := func() io.Reader {
		if m.Body == nil {
			return strings.NewReader("")
		}
		return content.NewCanonicalReader(io.NewSectionReader(m.Body, 0, m.Body.Size()))
	}
	return source{open(), open}
}
