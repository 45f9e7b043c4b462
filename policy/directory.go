package policy

import (
	"context"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Directory answers whether a recipient exists. Exists must be safe for
// concurrent use and must limit its own time. An error means that the directory
// cannot answer at present; the client then gets 451 4.3.0. The address is as
// the client wrote it, with its upper and lower case, but without unnecessary
// quotes.
type Directory interface {
	Exists(ctx context.Context, address string) (bool, error)
}

// DirectoryFunc is a function that implements Directory.
type DirectoryFunc func(ctx context.Context, address string) (bool, error)

// Exists calls f.
func (f DirectoryFunc) Exists(ctx context.Context, address string) (bool, error) {
	return f(ctx, address)
}

// Recipients returns a Directory of a fixed list. An entry is a local part
// ("alice"), which exists in every domain that uses the Directory, or a whole
// address ("alice@example.com"). Case does not matter.
func Recipients(names ...string) Directory {
	return staticDirectory(addressSet(names))
}

type staticDirectory map[string]bool

func (d staticDirectory) Exists(_ context.Context, address string) (bool, error) {
	return inAddressSet(d, address), nil
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
// them fails and no other has the address, AnyOf returns the error.
func AnyOf(directories ...Directory) Directory {
	return &derivedDirectory{from: directories, DirectoryFunc: func(ctx context.Context, address string) (bool, error) {
		var failed error
		for _, d := range directories {
			ok, err := d.Exists(ctx, address)
			if ok {
				return true, nil
			}
			if err != nil {
				failed = err
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

// Inherit passes the settings to the other directories.
func (d *derivedDirectory) Inherit(s smtpserver.Defaults) {
	for _, from := range d.from {
		s.Inherit(from)
	}
}
