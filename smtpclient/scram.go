package smtpclient

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
	"golang.org/x/text/secure/precis"
)

// Limits of the iteration count, which is the work that a host can demand. The
// minimum is that of RFC 7677, 4.
const (
	minIterations = 4096
	maxIterations = 1_000_000
)

// scram implements SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding:
// neither side sends the password, and both prove that they know it.
type scram struct {
	username, password string
	nonce              string
	first              string // client-first-message-bare
	signature          []byte // the signature that the host must send
	proved             bool   // the host has sent it
	step               int
}

const gs2Header = "n,," // no channel binding, no authorization identity

func newSCRAM(username, password string) (sasl.Client, error) {
	return newSCRAMNonce(username, password, rand.Text())
}

// newSCRAMNonce prepares the password by RFC 8265. It uses a password that
// cannot be prepared unchanged.
func newSCRAMNonce(username, password, nonce string) (sasl.Client, error) {
	if p, err := precis.OpaqueString.String(password); err == nil {
		password = p
	}
	return &scram{username: username, password: password, nonce: nonce}, nil
}

func (s *scram) Start() (string, []byte, error) {
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.username)
	s.first = "n=" + name + ",r=" + s.nonce
	return "SCRAM-SHA-256", []byte(gs2Header + s.first), nil
}

func (s *scram) Next(challenge []byte) ([]byte, error) {
	s.step++
	switch s.step {
	case 1:
		return s.prove(string(challenge))
	case 2:
		return []byte{}, s.check(string(challenge))
	}
	return nil, sasl.ErrUnexpectedServerChallenge
}

// prove answers the server-first-message, "r=nonce,s=salt,i=iterations".
func (s *scram) prove(first string) ([]byte, error) {
	attr := attributes(first)
	if _, mandatory := attr["m"]; mandatory {
		return nil, errors.New("the host requires an unknown extension") // RFC 5802, 5.1
	}
	salt, err := base64.StdEncoding.DecodeString(attr["s"])
	if err != nil || len(salt) == 0 {
		return nil, errors.New("the host sent a malformed salt")
	}
	n, err := strconv.Atoi(attr["i"])
	if err != nil || n < minIterations || n > maxIterations {
		return nil, fmt.Errorf("the host sent iteration count %.20q, which is not between %d and %d", attr["i"], minIterations, maxIterations)
	}
	if len(attr["r"]) <= len(s.nonce) || !strings.HasPrefix(attr["r"], s.nonce) {
		return nil, errors.New("the host sent a nonce that does not begin with the nonce of the client")
	}
	salted, err := pbkdf2.Key(sha256.New, s.password, salt, n, sha256.Size)
	if err != nil {
		return nil, err
	}
	final := "c=" + base64.StdEncoding.EncodeToString([]byte(gs2Header)) + ",r=" + attr["r"]
	message := s.first + "," + first + "," + final
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	proof := mac(stored[:], message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.signature = mac(mac(salted, "Server Key"), message)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// check reads the server-final-message, "v=signature" or "e=error".
func (s *scram) check(final string) error {
	attr := attributes(final)
	if e := attr["e"]; e != "" {
		return fmt.Errorf("the host reports error %.60q", e)
	}
	v, err := base64.StdEncoding.DecodeString(attr["v"])
	if err != nil || s.signature == nil || !hmac.Equal(v, s.signature) {
		return errors.New("the host sent a wrong signature: it does not know the password")
	}
	s.proved = true
	return nil
}

// Done returns an error if the host has not proved that it knows the password,
// for example because it replied 235 too early.
func (s *scram) Done() error {
	if !s.proved {
		return errors.New("the host reported success but did not prove that it knows the password")
	}
	return nil
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// attributes parses "a=1,b=2".
func attributes(s string) map[string]string {
	m := make(map[string]string)
	for part := range strings.SplitSeq(s, ",") {
		k, v, _ := strings.Cut(part, "=")
		m[k] = v
	}
	return m
}
