// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nothing - a program that costs as little as one can: no libraries, no work
 */
int main(void)
{
	return 0;
}
