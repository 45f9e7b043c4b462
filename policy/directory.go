package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Directory answers whether a recipient exists. Exists must be safe for
// concurrent use and must limit its own time. An error means that the directory
// cannot answer at present; the client then gets 451 4.3.0. An error that wraps
// [ErrAmbiguous] is an answer: the client gets 550 5.1.4. The address is as the
// client wrote it, with its upper and lower case, but without unnecessary
// quotes.
type Directory interface {
	Exists(ctx context.Context, address string) (bool, error)
}

// ErrAmbiguous is the error of a Directory for an address that several entries
// claim, for example two mailboxes. Mail for it cannot be delivered to either of
// them (RFC 3463, X.1.4).
var ErrAmbiguous = errors.New("policy: several entries of the directory have the address")

// ErrNoMembers is the error of an [AliasSource] for a group without members that can
// get mail. Its address counts as one that does not exist.
var ErrNoMembers = errors.New("policy: the group has no members")

// DirectoryFunc is a function that implements Directory.
type DirectoryFunc func(ctx context.Context, address string) (bool, error)

// Exists calls f.
func (f DirectoryFunc) Exists(ctx context.Context, address string) (bool, error) {
	return f(ctx, address)
}

// Recipients returns a Directory of a fixed list. An entry is a local part
// ("alice"), which exists in every domain that uses the Directory, or a whole
// address ("alice@example.com"). Case does not matter.
//
// An empty list, and an entry that is neither of these ("Alice
// <alice@example.com>"), are errors of [NewDomains] and [Gate.Install]. So is
// an address whose domain is not an accepted domain, because it would never
// match.
func Recipients(names ...string) Directory {
	return &staticDirectory{names, addressSet(names)}
}

type staticDirectory struct {
	names []string
	set   map[string]bool
}

func (d *staticDirectory) Exists(_ context.Context, address string) (bool, error) {
	return inAddressSet(d.set, address), nil
}

func (d *staticDirectory) validate(ds *Domains) []error {
	if len(d.names) == 0 {
		return []error{errors.New("the list of Recipients is empty")}
	}
	var errs []error
	for _, name := range d.names {
		if addr.Mailbox(strings.TrimSuffix(name, "."), true) == nil {
			if _, domain := addr.Split(name); ds.Lookup(domain) == nil {
				errs = append(errs, fmt.Errorf("Recipients: %q is not in an accepted domain", name))
			}
		} else if addr.Mailbox(name+"@example.com", true) != nil {
			errs = append(errs, fmt.Errorf("Recipients: %q is neither an address nor a local part", name))
		}
	}
	return errs
}

// validateDirectory returns the errors of a Directory that can never work with
// the accepted domains.
func validateDirectory(d Directory, ds *Domains) []error {
	switch {
	case d == nil:
		return []error{errors.New("it is nil")}
	case settings.IsNil(d):
		return []error{fmt.Errorf("it is a nil %T", d)}
	}
	switch d := d.(type) {
	case interface{ validate(*Domains) []error }:
		return d.validate(ds)
	case interface{ Validate() error }:
		if err := d.Validate(); err != nil {
			return []error{err}
		}
	}
	return nil
}

// Subaddresses returns a Directory in which "alice+anything@example.com" exists
// if "alice@example.com" exists in d (RFC 5233). separators are the characters
// that begin a subaddress; the default is "+". The recipient of the message
// does not change. Addresses that exist in d also exist in the returned
// Directory.
func Subaddresses(d Directory, separators string) Directory {
	if separators == "" {
		separators = "+"
	}
	return &derivedDirectory{from: []Directory{d}, DirectoryFunc: func(ctx context.Context, address string) (bool, error) {
		ok, err := d.Exists(ctx, address)
		if ok || err != nil {
			return ok, err
		}
		local, domain := addr.Split(simplest(address))
		i := strings.IndexAny(local, separators)
		if i <= 0 || strings.HasPrefix(local, `"`) || routed(local[i:]) {
			return false, nil
		}
		user := local[:i]
		if domain != "" {
			user += "@" + domain
		}
		return d.Exists(ctx, user)
	}}
}

// AnyOf returns a Directory in which an address exists if it exists in one of
// the directories. It does not exist if it exists in none of them. If one of
// them fails and no other has the address, AnyOf returns the error. Two
// directories may have the same address: this is not [ErrAmbiguous].
func AnyOf(directories ...Directory) Directory {
	return &derivedDirectory{from: directories, DirectoryFunc: func(ctx context.Context, address string) (bool, error) {
		var failed error
		for _, d := range directories {
			ok, err := d.Exists(ctx, address)
			if ok {
				return true, nil
			}
			if err != nil && (failed == nil || errors.Is(failed, ErrAmbiguous)) {
				failed = err // a directory that cannot answer may have the address
			}
		}
		return false, failed
	}}
}

// A derivedDirectory is computed from other directories.
type derivedDirectory struct {
	DirectoryFunc
	from []Directory
}

func (d *derivedDirectory) validate(ds *Domains) []error {
	if len(d.from) == 0 {
		return []error{errors.New("AnyOf has no Directory")}
	}
	var errs []error
	for _, from := range d.from {
		errs = append(errs, validateDirectory(from, ds)...)
	}
	return errs
}

// Inherit passes the settings to the other directories.
func (d *derivedDirectory) Inherit(s smtpserver.Defaults) {
	for _, from := range d.from {
		s.Inherit(from)
	}
}
