package lookup

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// PublicText returns the text of an error for other organizations, in one line.
// For a DNS error it names the queried name, but not the DNS server. It returns
// "" for a nil error.
func PublicText(err error) string {
	if err == nil {
		return ""
	}
	if !resolver.IsNotFound(err) {
		var e *resolver.Error
		var n *net.DNSError // from a Resolver that returns the errors of a net.Resolver
		switch {
		case errors.As(err, &e):
			return "no answer from DNS about " + e.Name
		case errors.As(err, &n):
			return "no answer from DNS about " + strings.TrimSuffix(n.Name, ".")
		}
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// TXT returns the TXT records of a name. The strings of each record are joined.
// The result is empty if the name does not exist. An error is temporary. A nil r
// is a zero resolver.Net.
func TXT(ctx context.Context, r resolver.Resolver, name string) ([]string, error) {
	if !Valid(name) {
		return nil, nil // an invalid name cannot exist
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, err := resolver.TXTs(ctx, r, name)
	if resolver.IsNotFound(err) {
		return nil, nil
	}
	return records, err
}

// Valid reports whether DNS can have the name: labels of 1 to 63 octets, at most
// 253 octets in total (RFC 1035, 2.3.4), with or without a trailing dot.
func Valid(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}
