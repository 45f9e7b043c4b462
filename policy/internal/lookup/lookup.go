package lookup

import (
	"context"
	"errors"
	"net"
	"strings"
)

// A TXTResolver sends queries for TXT records. *net.Resolver implements it.
type TXTResolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// IsNotFound reports whether err means that the name, or a record of the queried
// type, does not exist. Any other error means that DNS did not answer.
func IsNotFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// PublicText returns the text of an error for other organizations, in one line.
// For a DNS error it names the queried name, but not the DNS server. It returns
// "" for a nil error.
func PublicText(err error) string {
	if err == nil {
		return ""
	}
	var e *net.DNSError
	if errors.As(err, &e) && !e.IsNotFound {
		return "no answer from DNS about " + strings.TrimSuffix(e.Name, ".")
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// FQDN returns name with a trailing dot, so that the resolver uses no search
// list.
func FQDN(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

// TXT returns the TXT records of a name. The strings of each record are joined.
// The result is empty if the name does not exist. An error is temporary. A nil r
// is net.DefaultResolver.
func TXT(ctx context.Context, r TXTResolver, name string) ([]string, error) {
	if r == nil {
		r = net.DefaultResolver
	}
	if !Valid(name) {
		return nil, nil // an invalid name cannot exist
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, err := r.LookupTXT(ctx, FQDN(name))
	if err != nil && !IsNotFound(err) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return records, nil
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
