package dkim

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
)

// This file signs and verifies with package dkimsig, where go-msgauth cannot
// (msgauth.go).

// bodyHashes are the hashes of a body: one for each canonical form, for any
// number of signatures.
type bodyHashes [2]*dkimsig.BodyHash

// add starts the hash of a form. It reports whether the hash is new.
func (b *bodyHashes) add(form dkimsig.Canon) bool {
	if b[form] != nil {
		return false
	}
	b[form] = dkimsig.NewBodyHash(form)
	return true
}

func (b *bodyHashes) sums() (sums [2][]byte) {
	for form, h := range b {
		if h != nil {
			sums[form] = h.Sum()
		}
	}
	return sums
}

// verify verifies the signature (RFC 6376, 6.1.3).
func (c *candidate) verify(header *dkimsig.Header, bodySum []byte) {
	if subtle.ConstantTimeCompare(bodySum, c.bodyHash) != 1 {
		c.conclude(Fail, errors.New("the body does not match the signature"))
		return
	}
	h := dkimsig.NewHeaderHash(c.headerForm)
	h.AddAll(header.Select(c.Fields, c.field)) // a signature does not sign itself (3.5, h=)
	sum := h.Sum(dkimsig.WithoutValue(c.field, c.bStart, c.bEnd))
	if err := dkimsig.Verify(c.key, c.Algorithm, sum, c.sig); err != nil {
		c.conclude(Fail, err)
		return
	}
	c.Result = Pass
}

// signOwn returns a signature for each of the keys.
func (s *Signer) signOwn(keys []Key, names []string, selected [][]byte, now time.Time, body io.Reader) (string, error) {
	hash := dkimsig.NewBodyHash(s.canon())
	if _, err := io.Copy(hash, body); err != nil {
		return "", err
	}
	bodyHash := hash.Sum()
	var signed strings.Builder
	for i := range keys {
		field, err := s.signature(&keys[i], names, selected, bodyHash, now)
		if err != nil {
			return "", err
		}
		signed.WriteString(field)
	}
	return signed.String(), nil
}

// signature returns one DKIM-Signature field (RFC 6376, 3.5).
func (s *Signer) signature(k *Key, names []string, selected [][]byte, bodyHash []byte, now time.Time) (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	algorithm, err := dkimsig.SigningAlgorithm(k.Private)
	if err != nil {
		return "", keyError(k, err)
	}
	w := dkimsig.NewFieldWriter("DKIM-Signature")
	w.Tag("v", "1")
	w.Tag("a", algorithm)
	w.Tag("c", s.canon().String()+"/"+s.canon().String())
	w.Tag("d", k.Domain)
	w.Tag("s", k.Selector)
	w.Tag("t", strconv.FormatInt(now.Unix(), 10))
	if s.Lifetime > 0 {
		w.Tag("x", strconv.FormatInt(now.Add(s.Lifetime).Unix(), 10))
	}
	w.List("h", names)
	w.Tag("bh", base64.StdEncoding.EncodeToString(bodyHash))
	h := dkimsig.NewHeaderHash(s.canon())
	h.AddAll(selected)
	sig, err := dkimsig.Sign(k.Private, h.Sum(w.Unsigned()))
	if err != nil {
		return "", keyError(k, err)
	}
	return w.Signed(base64.StdEncoding.EncodeToString(sig)), nil
}
