package policy

import (
	"context"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A Directory answers whether a recipient exists. It must be safe for
// concurrent use and bound its own time; an error means that it cannot tell
// at present, and the client is asked to come again (451 4.3.0). The address is
// as the client wrote it, in any case of letters, but without needless quotes.
type Directory interface {
	Exists(ctx context.Context, address string) (bool, error)
}

// DirectoryFunc makes a function a Directory.
type DirectoryFunc func(ctx context.Context, address string) (bool, error)

// Exists calls f.
func (f DirectoryFunc) Exists(ctx context.Context, address string) (bool, error) {
	return f(ctx, address)
}

// Recipients is a Directory of a fixed list: local parts ("alice"), which
// exist in every domain that the Directory serves, or whole addresses
// ("alice@example.com"). Case does not matter.
func Recipients(names ...string) Directory {
	return staticDirectory(addressSet(names))
}

type staticDirectory map[string]bool

func (d staticDirectory) Exists(_ context.Context, address string) (bool, error) {
	return inAddressSet(d, address), nil
}

// Subaddresses makes a Directory in which "alice+anything@example.com" exists
// where "alice@example.com" does (RFC 5233). separators are the characters
// that may stand for the plus; none of them stands for "+". Mail keeps the
// address that it was sent to. What d knows by itself always exists.
func Subaddresses(d Directory, separators string) Directory {
	if separators == "" {
		separators = "+"
	}
	return DirectoryFunc(func(ctx context.Context, address string) (bool, error) {
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
	})
}

// AnyOf is a Directory of all that one of several knows. It says no only when
// all of them do.
func AnyOf(directories ...Directory) Directory {
	return DirectoryFunc(func(ctx context.Context, address string) (bool, error) {
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
	})
}
