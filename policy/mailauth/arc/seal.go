package arc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Sealer adds a set to the chain of a message. It is safe for concurrent use;
// its fields must not change after the first use.
type Sealer struct {
	// Key signs the set. Key.Domain is the domain of the sealer.
	Key dkim.Key
	// ID is the authserv-id of this server. Default for the Agent: the server's
	// host name. For Seal it is required.
	ID string
	// Fields are the names of the header fields that the message signature
	// covers. If the message has several fields of a name, all of them are
	// signed. From is always signed. Default: the fields that describe the
	// message, List-Id and DKIM-Signature.
	Fields []string
	// When reports whether the Agent seals a message. Default: it seals messages
	// of sessions that are not authenticated. The messages of authenticated users
	// get a DKIM signature instead.
	When func(*smtpserver.Session, *smtpserver.Message) bool
}

var defaultFields = []string{
	"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Id", "DKIM-Signature",
}

// Seal reads a message from r and returns the three fields of the next set,
// each with its CRLF. Write them before the header of the message. The message
// should have CRLF line ends. verdict is the verdict for its chain, and results
// are the results of this server's checks.
//
// Seal returns "" if no set can be added. This is so if the latest set has
// cv=fail, if the chain has 50 sets, if the chain could not be verified
// (TempError), if verdict is nil, or if the message has no From field. Seal
// returns an error if r fails, the header is longer than 1 MiB, ID is not set,
// Key is invalid, or the chain differs from verdict.
func (s *Sealer) Seal(ctx context.Context, r io.Reader, verdict *Verdict, results ...authres.Result) (string, error) {
	header, body, err := read(r)
	if err != nil {
		return "", err
	}
	return s.seal(ctx, s.ID, results, verdict, header, body)
}

// seal returns the next set, or "" if no set can be added (RFC 8617, 5.1).
func (s *Sealer) seal(ctx context.Context, id string, results []authres.Result, verdict *Verdict, header *dkimsig.Header, body bodySum) (string, error) {
	if verdict == nil || verdict.final || verdict.Result == TempError || verdict.Instances >= maxInstances {
		return "", nil
	}
	if header.Count("from") == 0 {
		return "", nil
	}
	if id == "" {
		return "", errors.New("arc: Sealer.ID is not set")
	}
	if err := s.Key.Validate(); err != nil {
		return "", fmt.Errorf("arc: %w", err)
	}
	bodyHash, err := body(dkimsig.Relaxed)
	if err != nil {
		return "", fmt.Errorf("arc: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	i := verdict.Instances + 1
	own := set{results: tagged{field: []byte("ARC-Authentication-Results: i=" + strconv.Itoa(i) + "; " + authres.Body(id, results...) + "\r\n")}}
	if own.message.field, err = s.signMessage(i, header, bodyHash); err != nil {
		return "", err
	}
	// The seal of a broken chain covers only its own set (RFC 8617, 5.1.2).
	sets, cv := []set{own}, "none"
	switch {
	case verdict.Result == Fail:
		cv = "fail"
	case verdict.Result == Pass:
		before, _, err := readChain(header)
		if err != nil || len(before) != i-1 {
			return "", errors.New("arc: the chain has changed since it was verified")
		}
		sets, cv = append(before[:len(before):len(before)], own), "pass"
	}
	if own.seal.field, err = s.signSeal(i, cv, sets); err != nil {
		return "", err
	}
	return string(own.seal.field) + string(own.message.field) + string(own.results.field), nil
}

func (s *Sealer) signMessage(i int, header *dkimsig.Header, bodyHash []byte) ([]byte, error) {
	fields := s.Fields
	if fields == nil {
		fields = defaultFields
	}
	names := []string{}
	done := map[string]bool{"arc-seal": true, "arc-message-signature": true, "arc-authentication-results": true, "authentication-results": true}
	for _, name := range append([]string{"From"}, fields...) {
		name = strings.ToLower(name)
		for range header.Count(name) {
			if !done[name] {
				names = append(names, name)
			}
		}
		done[name] = true
	}
	w, err := s.begin("ARC-Message-Signature", i)
	if err != nil {
		return nil, err
	}
	w.Tag("c", "relaxed/relaxed")
	w.List("h", names)
	w.Tag("bh", base64.StdEncoding.EncodeToString(bodyHash))
	hash := dkimsig.NewHeaderHash(dkimsig.Relaxed)
	hash.AddAll(header.Select(names, nil))
	return s.sign(w, hash.Sum)
}

func (s *Sealer) signSeal(i int, cv string, sets []set) ([]byte, error) {
	w, err := s.begin("ARC-Seal", i)
	if err != nil {
		return nil, err
	}
	w.Tag("cv", cv)
	return s.sign(w, func(seal []byte) []byte { return sealSum(sets, seal) })
}

func (s *Sealer) begin(field string, i int) (*dkimsig.FieldWriter, error) {
	algorithm, err := dkimsig.SigningAlgorithm(s.Key.Private)
	if err != nil {
		return nil, fmt.Errorf("arc: %w", err)
	}
	w := dkimsig.NewFieldWriter(field)
	w.Tag("i", strconv.Itoa(i))
	w.Tag("a", algorithm)
	w.Tag("d", s.Key.Domain)
	w.Tag("s", s.Key.Selector)
	w.Tag("t", strconv.FormatInt(time.Now().Unix(), 10))
	return w, nil
}

func (s *Sealer) sign(w *dkimsig.FieldWriter, sum func(field []byte) []byte) ([]byte, error) {
	sig, err := dkimsig.Sign(s.Key.Private, sum(w.Unsigned()))
	if err != nil {
		return nil, fmt.Errorf("arc: key %s: %w", s.Key.Name(), err)
	}
	return []byte(w.Signed(base64.StdEncoding.EncodeToString(sig))), nil
}
