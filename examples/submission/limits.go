package main

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

var errRecipients = smtpserver.Reject(452, "4.5.3", "Too many recipients") // RFC 5321, 4.5.3.1.10

// agent applies the limits of each account.
func (u *users) agent(c *counts) smtpserver.Agent {
	rates := make(map[hourly]smtpserver.Agent)
	for _, one := range u.of {
		rates[one.perHour] = c.agent(one.perHour)
	}
	rates[u.standard.perHour] = c.agent(u.standard.perHour)
	return smtpserver.Agent{
		Name: "limits of accounts",
		Auth: func(_ context.Context, s *smtpserver.Session) error {
			s.SetMaxMessageSize(u.user(s.Identity()).size)
			return nil
		},
		Mail: func(ctx context.Context, s *smtpserver.Session, from string, o *smtp.MailOptions) error {
			return rates[u.user(s.Identity()).perHour].Mail(ctx, s, from, o)
		},
		Rcpt: func(ctx context.Context, s *smtpserver.Session, to string, o *smtp.RcptOptions) error {
			one := u.user(s.Identity())
			if one.recipients > 0 && len(s.Message().Recipients) >= one.recipients {
				return errRecipients
			}
			return rates[one.perHour].Rcpt(ctx, s, to, o)
		},
	}
}

// complete adds a Date and a Message-ID to messages without them (RFC 6409, 8.2 and 8.3).
func complete() smtpserver.Agent {
	return smtpserver.Agent{Name: "complete", EndOfHeaders: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		var errs []error
		if m.Header.Count("Date") == 0 {
			errs = append(errs, m.Header.Append("Date: "+time.Now().Format(time.RFC1123Z)+"\r\n"))
		}
		if m.Header.Count("Message-ID") == 0 {
			errs = append(errs, m.Header.Append("Message-ID: <"+rand.Text()+"@"+s.Hostname()+">\r\n"))
		}
		return errors.Join(errs...)
	}}
}

// counts are the counts of messages by limit. A reload does not replace them, because a
// change of a file must not begin a new hour.
type counts struct {
	mu sync.Mutex // guards of
	of map[hourly]*policy.Rates
}

// agent returns an agent that counts the messages of the accounts with a limit. Accounts
// whose limit changes have a new count.
func (c *counts) agent(limit hourly) smtpserver.Agent {
	if limit == (hourly{}) {
		return smtpserver.Agent{
			Mail: func(context.Context, *smtpserver.Session, string, *smtp.MailOptions) error { return nil },
			Rcpt: func(context.Context, *smtpserver.Session, string, *smtp.RcptOptions) error { return nil },
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[hourly]*policy.Rates)
	}
	r := c.of[limit]
	if r == nil {
		r = &policy.Rates{Rates: []policy.Rate{{By: policy.ByIdentity, Messages: limit.messages, Recipients: limit.recipients, Per: time.Hour}}}
		c.of[limit] = r
	}
	return r.Agent()
}
