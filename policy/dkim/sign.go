package dkim

import (
	"bufio"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

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
// message is read from r and has CRLF line ends.
func (s *Signer) Sign(ctx context.Context, domain string, r io.Reader) (string, error) {
	br := bufio.NewReader(r)
	fields, err := dkimsig.ReadFields(br)
	if err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	return s.sign(ctx, domain, dkimsig.NewHeader(fields), br)
}

func (s *Signer) sign(ctx context.Context, domain string, header *dkimsig.Header, body io.Reader) (string, error) {
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
	fields, err := section(nil, header.Select(names, nil), !s.Simple)
	if err != nil {
		return "", fmt.Errorf("dkim: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return s.signatures(keys, names, now, &message{fields, newBody(body)})
}

// signatures has go-msgauth sign a message with each of the keys.
func (s *Signer) signatures(keys []Key, names []string, now time.Time, m *message) (signed string, err error) {
	signers := make([]*msgauth.Signer, 0, len(keys))
	all := make([]io.Writer, 0, len(keys))
	for i := range keys {
		var signer *msgauth.Signer
		if signer, err = s.signer(&keys[i], names, now); err != nil {
			break
		}
		signers, all = append(signers, signer), append(all, signer)
	}
	if err == nil {
		if _, err = m.WriteTo(io.MultiWriter(all...)); err != nil {
			err = fmt.Errorf("dkim: %w", err)
		}
	}
	for i, signer := range signers { // all of them, whatever happened: each is a goroutine
		if e := signer.Close(); e != nil && err == nil {
			err = fmt.Errorf("dkim: key %s: %w", keys[i].Name(), e)
		}
	}
	if err != nil {
		return "", err
	}
	for _, signer := range signers {
		signed += signer.Signature()
	}
	return signed, nil
}

func (s *Signer) signer(k *Key, names []string, now time.Time) (*msgauth.Signer, error) {
	if err := k.Validate(); err != nil {
		return nil, err
	}
	form := msgauth.Canonicalization(msgauth.CanonicalizationRelaxed)
	if s.Simple {
		form = msgauth.CanonicalizationSimple
	}
	options := &msgauth.SignOptions{
		Domain: k.Domain, Selector: k.Selector, Signer: k.Private, Hash: crypto.SHA256, HeaderKeys: names,
		HeaderCanonicalization: form, BodyCanonicalization: form,
	}
	if s.Lifetime > 0 {
		options.Expiration = now.Add(s.Lifetime)
	}
	return msgauth.NewSigner(options)
}

// maxH is the longest h= tag that fits on a line (RFC 5322, 2.1.1: 998 octets):
// go-msgauth does not fold it.
const maxH = 990

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
	length := 0
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
		length += n * (len(name) + 1)
	}
	add("From")
	for _, name := range fields {
		if err := checkName(name); err != nil {
			return nil, err
		}
		add(name)
	}
	if length > maxH {
		return nil, limitError(fmt.Sprintf("there are %d header fields to sign, whose names do not fit on a line", len(names)))
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
