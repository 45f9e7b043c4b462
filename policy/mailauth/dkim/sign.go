package dkim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Signer signs messages. It may be used by many sessions at once; its
// fields must not change meanwhile.
type Signer struct {
	// Keys gives the keys for an author's domain (that of From): one
	// signature for each key whose time it is. No keys, no signature. See the
	// function [Keys]; an own function may read keys anew.
	Keys func(domain string) []Key
	// Simple makes signatures of the simple form, which break when a relay
	// on the way folds a field. Default: relaxed, header and body.
	Simple bool
	// Fields are the header fields to sign, every instance of each that is
	// there. From is always signed. Default: those of RFC 6376, 5.4.1.
	Fields []string
	// Oversign are names of Fields that are signed once more than they are
	// there, so that nobody can add another one. nil means From, Reply-To,
	// Subject, Date, To and Cc; an empty slice means From alone.
	Oversign []string
	// Lifetime after which signatures expire (x=). Default: they do not.
	Lifetime time.Duration
	// When says which messages the Agent signs. Default: those of
	// authenticated sessions. Where clients may relay by their address alone,
	// it has to name them; see the example of Agent.
	When func(*smtpserver.Session, *smtpserver.Message) bool
}

var defaultFields = []string{
	"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Description",
	"Resent-Date", "Resent-From", "Resent-To", "Resent-Cc", "Resent-Message-ID",
	"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
}

var defaultOversign = []string{"From", "Reply-To", "Subject", "Date", "To", "Cc"}

// Sign returns the DKIM-Signature fields for a message, each with its CRLF,
// to be put before its header; "" where there is no key for the domain. The
// message is read from r. It should have CRLF line ends; a bare LF counts as
// CRLF and a bare CR as a space, which is how package smtpclient sends them.
func (s *Signer) Sign(ctx context.Context, domain string, r io.Reader) (string, error) {
	fields, body, err := openSource(r)
	if err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	return s.sign(ctx, domain, dkimsig.NewHeader(fields), body)
}

func (s *Signer) sign(ctx context.Context, domain string, header *dkimsig.Header, body source) (string, error) {
	now := time.Now()
	var keys []Key
	if s.Keys != nil {
		for _, k := range s.Keys(domain) {
			if k.valid(now) {
				keys = append(keys, k)
			}
		}
	}
	if len(keys) == 0 {
		return "", nil
	}
	if header.Count("from") == 0 {
		return "", errors.New("dkim: the message has no From field to sign")
	}
	names, err := s.names(header)
	if err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	signed, err := s.signWith(keys, names, header.Select(names, nil), now, body)
	if err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	return signed, nil
}

// signWith signs with go-msgauth, or with our engine what that cannot sign.
func (s *Signer) signWith(keys []Key, names []string, selected [][]byte, now time.Time, body source) (string, error) {
	if tooLong(names) || tooFolded(s.canon(), selected...) {
		return s.signOwn(keys, names, selected, now, body.body)
	}
	signed, err := s.signMsgauth(keys, names, selected, now, body.body)
	if !isBlank(err) {
		return signed, err
	}
	again := body.again()
	if again == nil {
		return "", err
	}
	return s.signOwn(keys, names, selected, now, again)
}

// keyError names the key that an error belongs to.
func keyError(k *Key, err error) error { return fmt.Errorf("key %s: %w", k.Name(), err) }

func (s *Signer) canon() dkimsig.Canon {
	if s.Simple {
		return dkimsig.Simple
	}
	return dkimsig.Relaxed
}

// maxSigned bounds the h= tag. No message has so many fields of the kinds that
// are signed; each costs space in the header of every host on the way.
const maxSigned = 1000

// A limitError says what makes a message too much work to sign or verify.
type limitError string

func (e limitError) Error() string { return string(e) }

// names is the h= tag.
func (s *Signer) names(header *dkimsig.Header) ([]string, error) {
	fields, oversign := s.Fields, s.Oversign
	if fields == nil {
		fields = defaultFields
	}
	if oversign == nil {
		oversign = defaultOversign
	}
	var names []string
	done := make(map[string]bool, len(fields))
	add := func(name string) {
		name = strings.ToLower(name)
		if done[name] {
			return
		}
		done[name] = true
		n := header.Count(name)
		if name == "from" || containsFold(oversign, name) {
			n++
		}
		for range n {
			names = append(names, name)
		}
	}
	add("From")
	for _, name := range fields {
		if err := checkName(name); err != nil {
			return nil, err
		}
		add(name)
	}
	if len(names) > maxSigned {
		return nil, limitError(fmt.Sprintf("there are %d header fields to sign, more than %d", len(names), maxSigned))
	}
	return names, nil
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
