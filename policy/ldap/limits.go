package ldap

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Limits applies the limits that entries of the directory have, as Exchange does: the
// largest message that a sender may send, the largest message that a recipient accepts,
// and the number of recipients of a message of a sender.
//
//	limits := &ldap.Limits{Directory: users, Domains: []string{"example.com"}}
//	srv.Agents = append(srv.Agents, limits.Agent())
//
// A message that is too large gets 552 5.2.3: at MAIL or RCPT if the client has declared
// its size, and otherwise at the end of data, for all recipients. Each further
// recipient above the limit gets 452 4.5.3. If no server answers, the client gets 451 4.3.0. An address without an
// entry, or with several, and an attribute that is not a positive number, have no limit.
// The limits of the server apply too.
//
// Limits does not check whether a client may use a sender; see policy.SendAs. A client
// that uses the address of another sender gets the limits of this sender.
//
// It is safe for concurrent use; its fields must not change after the first use.
type Limits struct {
	// Directory has the servers, the login and the search.
	Directory *Directory
	// Domains are the domains whose addresses are looked up. It must not be empty.
	Domains []string

	// The following are the names of attributes.

	// SendSize is the largest message that a sender may send, and ReceiveSize the
	// largest that a recipient accepts, both in KiB. Defaults: submissionContLength,
	// delivContLength (Active Directory with Exchange).
	SendSize, ReceiveSize string
	// Recipients is the largest number of recipients of a message of a sender.
	// Default: msExchRecipLimit.
	Recipients string

	// TTL is the time for which an answer is kept. Default 10 minutes; a negative value
	// keeps no answers.
	TTL time.Duration
	// MaxCached is the maximum number of answers that are kept. Default 100,000.
	MaxCached int

	known cache[limit]
}

// A limit has the limits of one entry. 0 means no limit.
type limit struct{ send, receive, recipients int64 }

// Validate returns an error if a setting is invalid. It does not connect to a server.
func (l *Limits) Validate() error {
	switch {
	case l.Directory == nil:
		return errors.New("ldap: Limits.Directory is not set")
	case len(l.Domains) == 0:
		return errors.New("ldap: Limits.Domains is empty")
	case l.MaxCached < 0:
		return fmt.Errorf("ldap: Limits.MaxCached is negative (%d)", l.MaxCached)
	}
	for _, d := range l.Domains {
		if _, err := addr.HostName(d); err != nil {
			return fmt.Errorf("ldap: Limits.Domains: %q: %w", d, err)
		}
	}
	for _, name := range l.attributes() {
		if strings.ContainsAny(name, " ;=*()\x00") {
			return fmt.Errorf("ldap: Limits: %q is not the name of an attribute", name)
		}
	}
	return l.Directory.Validate()
}

func (l *Limits) attributes() []string {
	return []string{orOne(l.SendSize, "submissionContLength"), orOne(l.ReceiveSize, "delivContLength"), orOne(l.Recipients, "msExchRecipLimit")}
}

var errLimits = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The limits of the address cannot be looked up at present, try again later"}

func tooLarge(whose string, kib int64) error {
	return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 3}, Message: fmt.Sprintf("The message is larger than the %s limit of %d KiB", whose, kib)}
}

// limitsKey is the key of the limits of the current message in a Session.
type limitsKey struct{}

// messageLimits are the limits of one message.
type messageLimits struct {
	sender limit
	rcpts  map[string]int64 // the largest size by recipient, in KiB; only those with a limit
}

// Agent returns an agent that applies the limits.
func (l *Limits) Agent() smtpserver.Agent {
	return smtpserver.Agent{
		Name: "limits of the directory",
		Mail: func(ctx context.Context, s *smtpserver.Session, from string, o *smtp.MailOptions) error {
			sender, err := l.of(ctx, from)
			if err != nil {
				return err
			}
			s.SetValue(limitsKey{}, &messageLimits{sender: sender, rcpts: make(map[string]int64)})
			return exceeds(o.Size, sender.send, "sender's")
		},
		Rcpt: func(ctx context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			m, ok := s.Value(limitsKey{}).(*messageLimits)
			if !ok {
				return nil
			}
			if most := m.sender.recipients; most > 0 && int64(len(s.Message().Recipients)) >= most {
				return smtpserver.Reject(452, "4.5.3", "Too many recipients for this sender") // RFC 5321, 4.5.3.1.10
			}
			rcpt, err := l.of(ctx, to)
			if err != nil {
				return err
			}
			if rcpt.receive > 0 {
				m.rcpts[to] = rcpt.receive
			}
			return exceeds(s.Message().Options.Size, rcpt.receive, "recipient's")
		},
		EndOfData: func(_ context.Context, s *smtpserver.Session, msg *smtpserver.Message) error {
			m, ok := s.Value(limitsKey{}).(*messageLimits)
			if !ok {
				return nil
			}
			size := msg.Content().Size()
			if err := exceeds(size, m.sender.send, "sender's"); err != nil {
				return err
			}
			for _, r := range msg.Recipients {
				if err := exceeds(size, m.rcpts[r.Addr], "recipient's"); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// exceeds returns the refusal of a message that has more bytes than a limit in KiB.
func exceeds(size, kib int64, whose string) error {
	if kib > 0 && size > kib<<10 {
		return tooLarge(whose, kib)
	}
	return nil
}

// of returns the limits of an address.
func (l *Limits) of(ctx context.Context, address string) (limit, error) {
	if l.Directory == nil || !l.covers(address) {
		return limit{}, nil
	}
	key := keyOf(address)
	if a, ok := l.known.get(key); ok {
		return a.value, nil
	}
	var found limit
	err := l.Directory.with(ctx, func(ctx context.Context, c *ldap.Conn) (err error) {
		found, err = l.search(ctx, c, address)
		return err
	})
	if err != nil {
		return limit{}, fmt.Errorf("%w: %w", errLimits, err)
	}
	l.known.put(key, found, nil, l.TTL, l.MaxCached)
	return found, nil
}

func (l *Limits) covers(address string) bool {
	domain := addr.DomainOf(address)
	for _, own := range l.Domains {
		if domain == addr.FoldDomain(own) {
			return true
		}
	}
	return false
}

func (l *Limits) search(ctx context.Context, c *ldap.Conn, address string) (limit, error) {
	e, err := l.Directory.entry(ctx, c, address, l.attributes())
	switch {
	case errors.Is(err, policy.ErrAmbiguous):
		return limit{}, nil
	case e == nil:
		return limit{}, err
	}
	names := l.attributes()
	number := func(i int) int64 {
		n, err := strconv.ParseInt(e.GetEqualFoldAttributeValue(names[i]), 10, 64)
		if err != nil || n < 0 || n > 1<<40 {
			return 0
		}
		return n
	}
	return limit{send: number(0), receive: number(1), recipients: number(2)}, nil
}
