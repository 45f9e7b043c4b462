// Package dkimsig is what DKIM (RFC 6376, 8301, 8463) and ARC (RFC 8617)
// have in common beside the signing itself: header sections, the choice of
// fields that h= makes, keys and their records in DNS.
package dkimsig
