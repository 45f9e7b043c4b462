// Package dkimsig has the common parts of DKIM (RFC 6376, 8301, 8463) and ARC (RFC
// 8617): header sections, the selection of fields by h=, canonical forms, hashes,
// signature fields, keys and key records.
package dkimsig
