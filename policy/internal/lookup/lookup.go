package lookup

import (
	"context"
	"errors"
	"net"
	"strings"
)

// TXTResolver is the part of *net.Resolver that asks for TXT records.
type TXTResolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Absent says whether err means that the name, or a record of the type asked
// for, does not exist. Of every other error nothing is known but that there
// was no answer.
func Absent(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// Public is what an error may tell strangers: of one that comes from DNS, the
// name that was asked for and not the server that was asked. It is one line.
func Public(err error) string {
	if err == nil {
		return ""
	}
	var e *net.DNSError
	if errors.As(err, &e) && !e.IsNotFound {
		return "no answer from DNS about " + strings.TrimSuffix(e.Name, ".")
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// FQDN is the name with a dot at its end, so that no search list is tried.
func FQDN(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

// TXT returns the TXT records of a name, the strings of each joined; none
// where the name does not exist. An error is a temporary one.
func TXT(ctx context.Context, r TXTResolver, name string) ([]string, error) {
	if r == nil {
		r = net.DefaultResolver
	}
	if !Valid(name) {
		return nil, nil // such a name cannot exist
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, err := r.LookupTXT(ctx, FQDN(name))
	if err != nil && !Absent(err) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return records, nil
}

// Valid says whether a name can be asked for at all: labels of 1 to 63
// octets, 253 in total (RFC 1035, 2.3.4), a dot at the end or not.
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
