package smtpserver

import (
	"context"
	"fmt"
	"slices"

	"github.com/emersion/go-sasl"
)

// Auths returns an Authenticator that offers the mechanisms of all the given
// Authenticators, in the same order. If several provide the same mechanism, the
// first one runs it.
func Auths(authenticators ...Authenticator) Authenticator { return auths(authenticators) }

type auths []Authenticator

func (as auths) Mechanisms(s *Session) []string {
	var all []string
	for _, a := range as {
		for _, m := range a.Mechanisms(s) {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

func (as auths) Start(ctx context.Context, s *Session, mechanism string) (sasl.Server, error) {
	for _, a := range as {
		if slices.Contains(a.Mechanisms(s), mechanism) {
			return a.Start(ctx, s, mechanism)
		}
	}
	return nil, errNotOffered(mechanism)
}

func errNotOffered(mechanism string) error {
	return fmt.Errorf("mechanism %q is not offered", mechanism)
}

// identify is a function of the application that identifies a client.
type identify func() (identity string, err error)

// setIdentity calls f and sets the identity of the client to its result.
func (s *Session) setIdentity(f identify) error {
	identity, err := f()
	if err == nil {
		s.SetIdentity(identity)
	}
	return err
}
