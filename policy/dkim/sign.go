package dkim

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
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
	// authenticated sessions.
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
// message is read from r and has CRLF line ends.
func (s *Signer) Sign(ctx context.Context, domain string, r io.Reader) (string, error) {
	br := bufio.NewReader(r)
	fields, err := dkimsig.ReadFields(br)
	if err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	return s.sign(ctx, domain, dkimsig.NewHeader(fields), func(w io.Writer) error {
		_, err := io.Copy(w, br)
		return err
	})
}

func (s *Signer) sign(ctx context.Context, domain string, header *dkimsig.Header, body func(io.Writer) error) (string, error) {
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
	form := s.form()
	hash := dkimsig.NewBodyHash(form, -1)
	if err := body(hash); err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	bodyHash, _ := hash.Sum()
	names := s.names(header)
	var signed strings.Builder
	for i := range keys {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		field, err := s.signature(&keys[i], header, names, bodyHash, now)
		if err != nil {
			return "", err
		}
		signed.WriteString(field)
	}
	return signed.String(), nil
}

// form is the canonical form of header and body (RFC 6376, 3.4).
func (s *Signer) form() dkimsig.Canon {
	if s.Simple {
		return dkimsig.Simple
	}
	return dkimsig.Relaxed
}

// names is the h= tag.
func (s *Signer) names(header *dkimsig.Header) []string {
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
		add(name)
	}
	return names
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// signature makes one field.
func (s *Signer) signature(k *Key, header *dkimsig.Header, names []string, bodyHash []byte, now time.Time) (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	algorithm, _ := dkimsig.SigningAlgorithm(k.Private) // Validate asked already
	form := s.form()
	w := dkimsig.NewFieldWriter("DKIM-Signature")
	w.Tag("v", "1")
	w.Tag("a", algorithm)
	w.Tag("c", form.String()+"/"+form.String())
	w.Tag("d", k.Domain)
	w.Tag("s", k.Selector)
	w.Tag("t", strconv.FormatInt(now.Unix(), 10))
	if s.Lifetime > 0 {
		w.Tag("x", strconv.FormatInt(now.Add(s.Lifetime).Unix(), 10))
	}
	w.List("h", names)
	w.Tag("bh", base64.StdEncoding.EncodeToString(bodyHash))
	hash := dkimsig.NewHeaderHash(form)
	hash.AddNames(header, names)
	signature, err := dkimsig.Sign(k.Private, hash.Sum(w.Unsigned()))
	if err != nil {
		return "", fmt.Errorf("dkim: key %s: %w", k.Name(), err)
	}
	return w.Signed(base64.StdEncoding.EncodeToString(signature)), nil
}
