package smtpserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-sasl"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// Auths returns an Authenticator that offers the mechanisms of all the given
// Authenticators, in the same order. If several provide the same mechanism, the
// first one runs it.
func Auths(authenticators ...Authenticator) Authenticator { return auths(authenticators) }

type auths []Authenticator

func (as auths) Mechanisms(s *Session) []string {
	var all []string
	for _, a := range as {
		if a == nil {
			continue
		}
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
		if a != nil && slices.Contains(a.Mechanisms(s), mechanism) {
			return a.Start(ctx, s, mechanism)
		}
	}
	return nil, errNotOffered(mechanism)
}

// Validate returns the error of the first Authenticator that can never work.
func (as auths) Validate() error {
	if len(as) == 0 {
		return errors.New("Auths: there is no Authenticator")
	}
	for i, a := range as {
		if settings.IsNil(a) {
			return fmt.Errorf("Auths: Authenticator %d is nil", i)
		}
		if err := validatePart(a); err != nil {
			return err
		}
	}
	return nil
}

// An invalidAuth is the result of a constructor with an argument that can never
// work. It offers no mechanism, and Validate returns its text as an error.
type invalidAuth string

func (invalidAuth) Mechanisms(*Session) []string { return nil }

func (a invalidAuth) Validate() error { return errors.New(string(a)) }

func (a invalidAuth) Start(context.Context, *Session, string) (sasl.Server, error) {
	return nil, a.Validate()
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
