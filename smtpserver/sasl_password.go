package smtpserver

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"
)

// PasswordAuth offers PLAIN and LOGIN. check returns nil if the password is
// correct; username is then the identity of the client. A *smtp.SMTPError of
// check is the reply, for example Reject(454, "4.7.0", …) if the password cannot
// be checked at present. After any other error the reply is 535 5.7.8. check is
// not called if the user name or the password is empty. A nil check is an error
// of Server.Validate.
func PasswordAuth(check func(ctx context.Context, s *Session, username, password string) error) Authenticator {
	if check == nil {
		return invalidAuth("PasswordAuth: check is nil")
	}
	return passwordAuth(check)
}

type passwordAuth func(ctx context.Context, s *Session, username, password string) error

func (passwordAuth) Mechanisms(*Session) []string { return []string{sasl.Plain, sasl.Login} }

func (check passwordAuth) Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error) {
	verify := func(username, password string) error {
		if username == "" || password == "" {
			return malformed("empty user name or password")
		}
		if err := check(ctx, s, username, password); err != nil {
			return err
		}
		s.SetIdentity(username)
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return plainServer(verify), nil
	case sasl.Login:
		return &loginServer{verify: verify}, nil
	}
	return nil, fmt.Errorf("mechanism %q is not offered", mechanism)
}

// plainServer is the PLAIN mechanism (RFC 4616).
func plainServer(verify func(username, password string) error) sasl.Server {
	return saslFunc(func(response []byte) ([]byte, bool, error) {
		if response == nil {
			return []byte{}, false, nil
		}
		part := strings.Split(string(response), "\x00")
		switch {
		case len(part) != 3:
			return nil, true, malformed("PLAIN: malformed response")
		case part[0] != "" && part[0] != part[1]:
			return nil, true, malformed("PLAIN: the authorization identity is not the user name")
		}
		return nil, true, verify(part[1], part[2])
	})
}

// loginServer is the LOGIN mechanism. It has two prompts, which clients ignore.
type loginServer struct {
	verify   func(username, password string) error
	username []byte
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil && l.username == nil:
		return []byte("Username:"), false, nil
	case l.username == nil:
		l.username = append([]byte{}, response...)
		return []byte("Password:"), false, nil
	}
	if bytes.IndexByte(l.username, 0) >= 0 || bytes.IndexByte(response, 0) >= 0 {
		return nil, true, malformed("LOGIN: user name or password contains NUL")
	}
	return nil, true, l.verify(string(l.username), string(response))
}
