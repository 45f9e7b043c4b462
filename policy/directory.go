package policy

import (
	"context"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A Directory answers whether a recipient exists. It must be safe for
// concurrent use and bound its own time; an error means that it cannot tell
// at present, and the client is asked to come again (451 4.3.0).
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

func fold(address string) string {
	local, domain := addr.Split(address)
	if domain == "" {
		return strings.ToLower(local)
	}
	return strings.ToLower(local) + "@" + addr.DomainOf(address)
}
