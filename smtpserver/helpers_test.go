package smtpserver_test

import (
	"context"
	"errors"
	"os/user"
	"strconv"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func uidOf(t *testing.T, name string) int {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// scramOf knows one user.
func scramOf(name string, cred smtpserver.ScramCredentials) func(context.Context, *smtpserver.Session, string) (smtpserver.ScramCredentials, error) {
	return func(_ context.Context, _ *smtpserver.Session, username string) (smtpserver.ScramCredentials, error) {
		if username != name {
			return smtpserver.ScramCredentials{}, errors.New("unknown user")
		}
		return cred, nil
	}
}
