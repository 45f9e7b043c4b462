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

// A Signer signs messages. It is safe for concurrent use; its fields must not
// change after the first use.
type Signer struct {
	// Keys returns the keys for the domain of the author (From). The message gets
	// one signature for each key that is valid at the time, and none if there is
	// no key. The function [Keys] returns such a function for a fixed list. Your
	// own function can load keys at run time. It must be safe for concurrent use.
	// If Keys is nil, no message is signed.
	Keys func(domain string) []Key
	// Simple selects the simple canonicalization for header and body. Such a
	// signature becomes invalid if a relay folds a field. Default: relaxed.
	Simple bool
	// Fields are the names of the header fields to sign. If the message has
	// several fields of a name, all of them are signed. From is always signed.
	// Default: the fields of RFC 6376, 5.4.1, and some more that describe the
	// content or a mailing list.
	Fields []string
	// Oversign are names from Fields. Such a name occurs in h= once more than
	// in the message, so that adding another field of the name makes the
	// signature invalid. Default (nil): From, Reply-To, Subject, Date, To and
	// Cc. From is always oversigned. If the slice is empty and not nil, only
	// From is oversigned.
	Oversign []string
	// Lifetime is the time after which a signature expires (x=). Default:
	// signatures do not expire.
	Lifetime time.Duration
	// When reports whether the Agent signs a message. Default: it signs the
	// messages of authenticated sessions. If clients may relay without logging
	// in, set When; see the example of Agent.
	When func(*smtpserver.Session, *smtpserver.Message) bool
}

var defaultFields = []string{
	"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Description",
	"Resent-Date", "Resent-From", "Resent-To", "Resent-Cc", "Resent-Message-ID",
	"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
}

var defaultOversign = []string{"From", "Reply-To", "Subject", "Date", "To", "Cc"}

// Sign reads a message from r and returns its DKIM-Signature fields, each with
// its CRLF. Write them before the header of the message. Sign returns "" if there
// is no key for the domain.
//
// The message should have CRLF line ends. A bare LF counts as CRLF, and a bare CR
// as a space. Sign returns an error if r fails, the header is longer than 1 MiB,
// the message has no From field or more than 1,000 fields to sign, or a key is
// invalid.
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

// signWith signs with go-msgauth, or with signOwn if go-msgauth cannot sign the
// message.
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

// keyError adds the name of the key to an error.
func keyError(k *Key, err error) error { return fmt.Errorf("key %s: %w", k.Name(), err) }

func (s *Signer) canon() dkimsig.Canon {
	if s.Simple {
		return dkimsig.Simple
	}
	return dkimsig.Relaxed
}

// maxSigned is the maximum number of names in the h= tag. Real messages have far
// fewer fields to sign, and each name makes the header longer.
const maxSigned = 1000

// A limitError means that a message exceeds a limit of signing or verifying.
type limitError string

func (e limitError) Error() string { return string(e) }

// names returns the names for the h= tag.
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
		return nil, limitError(fmt.Sprintf("it has %d header fields to sign, more than %d", len(names), maxSigned))
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
