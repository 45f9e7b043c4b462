package smtpserver

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
)

// CramMD5Auth offers CRAM-MD5 (RFC 2195) for devices that support nothing
// better. It needs the passwords in plain text, and MD5 is broken. password
// returns the password of a user, or an error for an unknown user. A nil
// password function is an error of Server.Validate.
func CramMD5Auth(password func(ctx context.Context, s *Session, username string) (string, error)) Authenticator {
	if password == nil {
		return invalidAuth("CramMD5Auth: password is nil")
	}
	return cramAuth(password)
}

type cramAuth func(ctx context.Context, s *Session, username string) (string, error)

const cramMD5 = "CRAM-MD5"

func (cramAuth) Mechanisms(*Session) []string { return []string{cramMD5} }

func (password cramAuth) Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error) {
	if mechanism != cramMD5 {
		return nil, errNotOffered(mechanism)
	}
	challenge := fmt.Sprintf("<%s.%d@%s>", rand.Text(), time.Now().Unix(), s.srv.hostname)
	asked := false
	return saslFunc(func(response []byte) ([]byte, bool, error) {
		if !asked {
			if response != nil {
				return nil, true, malformed("CRAM-MD5 has no initial response")
			}
			asked = true
			return []byte(challenge), false, nil
		}
		i := strings.LastIndexByte(string(response), ' ')
		if i < 0 {
			return nil, true, malformed("CRAM-MD5: malformed response")
		}
		username := string(response[:i])
		given, err := hex.DecodeString(string(response[i+1:]))
		if err != nil {
			return nil, true, malformed("CRAM-MD5: malformed digest")
		}
		secret, err := password(ctx, s, username)
		if err != nil {
			return nil, true, err
		}
		mac := hmac.New(md5.New, []byte(secret))
		mac.Write([]byte(challenge))
		if secret == "" || !hmac.Equal(mac.Sum(nil), given) {
			return nil, true, errors.New("CRAM-MD5: wrong password")
		}
		s.SetIdentity(username)
		return nil, true, nil
	}), nil
}
