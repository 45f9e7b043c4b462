package policy

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// routed reports whether a local part may ask the next host to relay:
// user%elsewhere@here, elsewhere!user@here, "user@elsewhere"@here,
// "elsewhere::user"@here. A client that may not relay through this server must
// not relay through the next host with its help. Compatibility forms of these characters
// (U+FF05) count, because the next host may normalize what it reads.
func routed(local string) bool {
	for i := range len(local) {
		if local[i] >= 0x80 {
			local = norm.NFKC.String(local)
			break
		}
	}
	return strings.ContainsAny(local, "%!@") || strings.Contains(local, "::")
}

// lists reports whether the domain's directories list exactly this routed local
// part. r is their answer for it. Some directories accept every local part, or
// ask a host that routes. Therefore lists also asks for two local parts of the
// same form that cannot exist, with random letters before and after the real
// one, because the name of the other host may be at either end. If one of them
// exists, and not only because of the CatchAll, the result is false.
func (d *Domain) lists(ctx context.Context, r resolution, local, domain string) (bool, error) {
	if !r.known {
		return false, nil
	}
	quote := ""
	if inner, ok := strings.CutPrefix(local, `"`); ok {
		quote, local = `"`, strings.TrimSuffix(inner, `"`)
	}
	random := strings.ToLower(rand.Text()[:12])
	for _, absent := range [...]string{random + local, local + random} {
		r, err := d.resolve(ctx, quote+absent+quote+"@"+domain)
		switch {
		case errors.Is(err, errUnknown):
		case err != nil:
			return false, err
		case r.known && r.as != d.CatchAll:
			return false, nil
		}
	}
	return true, nil
}
