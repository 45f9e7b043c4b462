package smtpclient

import (
	"maps"
	"strconv"
	"strings"
)

// features are the host's extensions that matter for a transaction.
type features struct {
	pipelining, chunking, binary, eightBit, utf8 bool
	size, dsn, requireTLS, mtPriority            bool
	deliverBy, rrvs                              bool

	maxSize int64 // SIZE (RFC 1870) in octets; 0 means unknown
	rcptMax int   // LIMITS (RFC 9422): recipients in a transaction; 0 means unknown
	mailMax int   // LIMITS: transactions in a session; 0 means unknown
}

// setExtensions reads the reply to EHLO (RFC 5321, 4.1.1.1). The first line is
// the host's name and greeting. Each other line is a keyword with parameters.
func (c *Client) setExtensions(r reply) {
	c.ext, c.feat = map[string]string{}, features{}
	first, lines, _ := strings.Cut(printable(r.text), "\n")
	if name, _, _ := strings.Cut(first, " "); name != "" {
		c.helo = name
	}
	for line := range strings.SplitSeq(lines, "\n") {
		keyword, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		if keyword == "" {
			continue
		}
		keyword = strings.ToUpper(keyword)
		if m, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			// The form of servers from before RFC 2554.
			keyword, params = "AUTH", strings.TrimSpace(m+" "+params)
		}
		if old := c.ext[keyword]; keyword == "AUTH" && old != "" {
			params = old + " " + params
		}
		c.ext[keyword] = strings.TrimSpace(params)
	}
	has := func(keyword string) bool { _, ok := c.ext[keyword]; return ok }
	c.feat = features{
		pipelining: has("PIPELINING"),
		chunking:   has("CHUNKING"),
		binary:     has("BINARYMIME"),
		eightBit:   has("8BITMIME"),
		utf8:       has("SMTPUTF8"),
		size:       has("SIZE"),
		dsn:        has("DSN"),
		requireTLS: has("REQUIRETLS"),
		mtPriority: has("MT-PRIORITY"),
		deliverBy:  has("DELIVERBY"),
		rrvs:       has("RRVS"),
	}
	if n, err := strconv.ParseInt(c.ext["SIZE"], 10, 64); err == nil && n > 0 {
		c.feat.maxSize = n
	}
	for limit := range strings.FieldsSeq(strings.ToUpper(c.ext["LIMITS"])) {
		name, value, _ := strings.Cut(limit, "=")
		n, err := strconv.Atoi(value)
		switch {
		case err != nil || n < 1:
		case name == "RCPTMAX":
			c.feat.rcptMax = n
		case name == "MAILMAX":
			c.feat.mailMax = n
		}
	}
}

// Extension reports whether the host announced the EHLO keyword, and returns its
// parameters. The case of keyword does not matter.
func (c *Client) Extension(keyword string) (params string, ok bool) {
	params, ok = c.ext[strings.ToUpper(keyword)]
	return params, ok
}

// Extensions returns the EHLO keywords that the host announced, in upper case,
// and their parameters.
func (c *Client) Extensions() map[string]string { return maps.Clone(c.ext) }
