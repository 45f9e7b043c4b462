// Package site describes a relay as a whole to its parts: the settings that the
// parts share, the accepted domains, and what a check of the settings finds.
// With it, package gateway reaches parts whose packages it does not import.
package site
