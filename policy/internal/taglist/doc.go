// Package taglist reads the "name=value; name=value" lists of DKIM, ARC and
// DMARC (RFC 6376, 3.2).
package taglist
